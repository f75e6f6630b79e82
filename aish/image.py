"""The image of a lean start: made where there is none that is true, by the start that found that out.

It lies among the compiled files of site-packages and is like one of them: it may be deleted at any time, is replaced
as a whole, and is not made where that folder is not the user's to write.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec
from marshal import dumps
from tempfile import mkstemp

from aish import bare
from aish.lean import READER_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType

    from aish.lean import Image, State

READER = "aish.lean"
"""The module that reads the image. Its code is what the image begins with, so that the two are of one release."""
_FIRST = ("aish.cli", "aish.shell.host", "aish.shell.program", "aish.lang.builtins.simple")
"""These, and what they import, are part of every start."""
_PIECE_BYTES = 1 << 16
"""The code of every start is read in pieces: more at once would be new memory, whose pages cost more than reading."""
_TOGETHER = ("aish.lang.parser", "aish.lang.common")
"""What each of these imports is loaded with it, not one by one."""
_LATER = ("aish.lang", "aish.lang.builtins", "aish.shell")
"""Any module of these packages may be needed by a script."""
_sources: dict[str, str] = {}
"""The files of modules: Python takes long to say."""


def keep(packages: str, path: str) -> None:
    """Write the image `path` of what is installed in the folder `packages`, where that can be done."""
    folder = os.path.dirname(path)
    record = _record(packages)
    if record is None or not os.access(folder if os.path.isdir(folder) else packages, os.W_OK):
        return
    first = ["aish", *_imported(_FIRST)]  # this module has that already
    together = {name: _imported([name]) for name in _TOGETHER}
    # Before the code is read: a change meanwhile is noticed.
    states = {name: _state(_source(name)) for name in [*first, READER]}
    root = os.path.dirname(os.path.dirname(states["aish"][0]))
    later = [name for name in _submodules() if name not in first]
    ours = _packages([*first, *later])
    blobs = _pieces([(name, states[name][0], _bare_code(name, ours)) for name in first])
    image: Image = {
        "path": path,
        "python": sys.version,
        "added": [packages] if root == packages else [packages, root],
        "files": [_state(record), *states.values()],
        "first": [len(blob) for blob in blobs],
        "length": 0,
        "later": {},
    }
    length = sum(image["first"])
    for name in later:
        names = together.get(name, [name])
        files = [_state(_source(one)) for one in names]
        modules = [(one, state[0], _bare_code(one, ours)) for one, state in zip(names, files, strict=True)]
        blobs.append(dumps(modules))
        image["later"][name] = (files, length, len(blobs[-1]))
        length += len(blobs[-1])
    image["length"] = length
    head = dumps(image)  # type: ignore[arg-type]  # a TypedDict is a dict
    reader = dumps(_bare_code(READER, {})).ljust(READER_BYTES, b"\0")
    if len(reader) == READER_BYTES:
        _replace(path, b"".join([reader, len(head).to_bytes(8, "little"), head, *blobs]))


def _pieces(modules: list[tuple[str, str, CodeType]]) -> list[bytes]:
    """Modules, some of them together at a time, in their order."""
    found: list[bytes] = []
    some: list[tuple[str, str, CodeType]] = []
    for module in modules:
        if some and len(dumps([*some, module])) > _PIECE_BYTES:
            found.append(dumps(some))
            some = []
        some.append(module)
    return [*found, dumps(some)]


class _Recorder:
    """A finder that notes in which order modules are done with."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name.partition(".")[0] == "aish" else None
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                self.done.append(name)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _imported(names: Sequence[str]) -> list[str]:
    """Modules, and before each those that it imports. They are imported here."""
    recorder = _Recorder()
    sys.meta_path.insert(0, recorder)
    try:
        for name in names:
            import_module(name)
    finally:
        sys.meta_path.remove(recorder)
    return recorder.done


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
    """The file of a module."""
    found = _sources.get(name)
    if found is None:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        found = _sources[name] = spec.origin
    return found


def _packages(names: Sequence[str]) -> dict[str, bool]:
    """Modules, and whether each is a package."""
    return {name: _source(name).endswith("/__init__.py") for name in names}


def _bare_code(name: str, ours: Mapping[str, bool]) -> CodeType:
    """What the image has of a module, where those of `ours` (see `_packages`) are in it, too. `help` shows what
    built-ins say of themselves."""
    path = _source(name)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return bare.code(text, path, silent=not name.startswith("aish.lang.builtins."), ours=ours)


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
