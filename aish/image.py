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

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType

    from aish.lean import Image, State

FORMAT = b"aish 3\r\n"
"""What an image begins with, as bin/aish wants it: another number for each change of what follows."""
_FIRST = ("aish.cli", "aish.shell.host", "aish.shell.program", "aish.lang.builtins.simple", "aish.lean")
"""These, and what they import, are part of every start. The last one is what reads the image."""
_TOGETHER = "aish.lang.common"
"""What it imports is loaded with it, not one by one."""
_LATER = ("aish.lang", "aish.lang.builtins", "aish.shell")
"""Any module of these packages may be needed by a script."""


def keep(packages: str, path: str) -> None:
    """Write the image `path` of what is installed in the folder `packages`, where that can be done."""
    folder = os.path.dirname(path)
    record = _record(packages)
    if record is None or not os.access(folder if os.path.isdir(folder) else packages, os.W_OK):
        return
    first = ["__future__", "aish", *_imported(_FIRST)]  # this module has these two already
    together = _imported([_TOGETHER])
    states = {name: _state(_source(name)) for name in first}  # before the code is read: a change meanwhile is noticed
    root = os.path.dirname(os.path.dirname(states["aish"][0]))
    blobs: list[bytes] = []
    image: Image = {
        "python": sys.version,
        "added": [packages] if root == packages else [packages, root],
        "files": [_state(record), *states.values()],
        "first": [(name, states[name][0], _bare_code(name)) for name in first],
        "later": {},
    }
    length = 0
    for name in _submodules():
        if name not in first:
            names, code = (together, _bare_code) if name == _TOGETHER else ([name], _code)
            files = [_state(_source(one)) for one in names]
            blobs.append(dumps([(one, state[0], code(one)) for one, state in zip(names, files, strict=True)]))
            image["later"][name] = (files, length, len(blobs[-1]))
            length += len(blobs[-1])
    head = dumps(image)  # type: ignore[arg-type]  # a TypedDict is a dict
    _replace(path, b"".join([FORMAT, len(head).to_bytes(8, "little"), head, *blobs]))


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
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return spec.origin


def _code(name: str) -> CodeType:
    spec = find_spec(name)
    assert spec is not None
    code: CodeType = spec.loader.get_code(name)  # type: ignore[union-attr]  # a loader of source files
    return code


def _bare_code(name: str) -> CodeType:
    """The code without what only readers and the type checker want of it, which would be read and made at each start:
    documentation (of built-ins `help` shows it), annotations, what stands under TYPE_CHECKING."""
    import ast

    silent = not name.startswith("aish.lang.builtins.")
    spec = find_spec(name)
    assert spec is not None
    tree = ast.parse(spec.loader.get_source(name))  # type: ignore[union-attr]  # a loader of source files
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            bare = [kept for statement in node.body for kept in _bare(statement, silent)]
            node.body = bare or [ast.Pass(lineno=1, col_offset=0)]
    code: CodeType = compile(ast.fix_missing_locations(tree), _source(name), "exec", dont_inherit=True)
    return code


def _bare(statement: ast.stmt, silent: bool) -> list[ast.stmt]:
    """What is left of a statement of a module, a class or a function; `silent`: without documentation."""
    import ast

    match statement:
        case ast.Expr(value=ast.Constant(value=str())) if silent:
            return []
        case ast.AnnAssign(value=None):
            return []
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            return [ast.copy_location(ast.Assign(targets=[target], value=value), statement)]
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=orelse):
            return orelse
        case _:
            return [statement]


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
