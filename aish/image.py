"""The image of a lean start: made where there is none that is true, by the start that found that out.

It lies among the compiled files of site-packages and is like one of them: it may be deleted at any time, is replaced
as a whole, and is not made where that folder is not the user's to write.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from marshal import dumps
from tempfile import mkstemp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

    from aish.lean import Image, State

_FIRST = ("aish.lean", "aish.cli", "aish.shell.host", "aish.shell.program", "aish.lang.builtins.simple")
"""These, and what they import, are part of every start."""
_LATER = ("aish.lang", "aish.lang.builtins", "aish.shell")
"""Any module of these packages may be needed by a script."""


def keep(packages: str, path: str) -> None:
    """Write the image `path` of what is installed in the folder `packages`, where that can be done."""
    folder = os.path.dirname(path)
    record = _record(packages)
    if record is None or not os.access(folder if os.path.isdir(folder) else packages, os.W_OK):
        return
    for name in _FIRST:
        import_module(name)
    first = [name for name in sys.modules if name.partition(".")[0] in ("aish", "__future__") and name != __name__]
    states = {name: _state(_source(name)) for name in first}  # before the code is read: a change meanwhile is noticed
    root = os.path.dirname(os.path.dirname(states["aish"][0]))
    blobs: list[bytes] = []
    image: Image = {
        "python": sys.version,
        "added": [packages] if root == packages else [packages, root],
        "files": [_state(record), *states.values()],
        "first": {name: (state[0], _code(name)) for name, state in states.items()},
        "later": {},
    }
    length = 0
    for name in _submodules():
        if name not in first:
            state = _state(_source(name))
            blobs.append(dumps(_code(name)))
            image["later"][name] = (state, length, len(blobs[-1]))
            length += len(blobs[-1])
    head = dumps(image)  # type: ignore[arg-type]  # a TypedDict is a dict
    _replace(path, b"".join([len(head).to_bytes(8, "little"), head, *blobs]))


def _record(packages: str) -> str | None:
    """The file that each installation writes anew; None: nothing was installed here, the package is just found."""
    for name in os.listdir(packages):
        if name.startswith("aish_shell-") and name.endswith(".dist-info"):
            return os.path.join(packages, name, "RECORD")
    return None


def _submodules() -> list[str]:
    found = []
    for package in _LATER:
        for name in sorted(os.listdir(os.path.dirname(_source(package)))):
            if name.endswith(".py") and not name.startswith("__"):
                found.append(f"{package}.{name[:-3]}")
    return found


def _source(name: str) -> str:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return spec.origin


def _code(name: str) -> CodeType:
    spec = find_spec(name)
    assert spec is not None
    code: CodeType = spec.loader.get_code(name)  # type: ignore[union-attr]  # a loader of source files
    return code


def _state(path: str) -> State:
    found = os.stat(path)
    return path, found.st_mtime_ns, found.st_size


def _replace(path: str, data: bytes) -> None:
    """Write the file as a whole, or not at all: a full disk is no reason not to start."""
    new = None
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        fd, new = mkstemp(dir=os.path.dirname(path))
        with open(fd, "wb") as file:
            os.fchmod(fd, 0o644)
            file.write(data)
        os.replace(new, path)
    except OSError:
        if new is not None and os.path.exists(new):
            os.unlink(new)
