"""A lean start: the modules that every shell needs come out of one file, and nothing else is looked at.

The launcher (bin/aish) has Python start without `site`: no .pth file is read, and the environment's PYTHON* variables
count for the programs that a shell starts, not for itself. It executes this module, which the image that `aish.image`
has written begins with, and asks whether that is still true. What a lean start does not find, `aish.packages` does.
"""

from __future__ import annotations

import posix
import sys
from _frozen_importlib import FrozenImporter, ModuleSpec, _gcd_import  # type: ignore[attr-defined]
from _frozen_importlib_external import PathFinder, SourceFileLoader
from gc import disable
from marshal import loads
from posix import O_CLOEXEC, O_RDONLY, close, dup2, fstat, open, pread, stat, unlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from os import stat_result
    from types import CodeType, ModuleType
    from typing import Any, TypedDict

    State = tuple[str, int, int]
    """A file, its time of change in nanoseconds, its size in bytes."""

    class Image(TypedDict):
        """What `aish.image` keeps: it has to be what marshal can write."""

        path: str
        """Where it was written: in an environment that was copied it would be another one's."""
        python: str
        added: list[str]
        """Folders behind Python's own in sys.path."""
        files: list[State]
        """What must not have changed since."""
        first: list[int]
        """Lengths of the pieces with the modules that are always needed. Each stands behind those that it imports."""
        length: int
        """Of all pieces together: of a file that was cut off less is there."""
        later: dict[str, tuple[list[State], int, int]]
        """Modules that may be: their files, and where behind the head they are and how long. Of one that only brings
        others together these stand before it."""

    Module = tuple[str, str, CodeType]
    """Name, file, code."""

Namespace: Any = type(sys.implementation)
"""SimpleNamespace, which is there already: each class of our own takes 10 us of every start."""
_SHELL = "aish.shell"
"""Who imports it needs all of the first modules, and not some verb."""
_KEPT_FD = 127
"""Where the image stays open: among a shell's own (aish.lang.descriptors), the last one for which the system needs no
larger table. Scripts may have use for any number."""
READER_BYTES = 1 << 14
"""This module's code, which bin/aish reads; behind it the head, an Image, and behind that the pieces, lists of
modules."""


class _Kept:
    """The first finder: modules of the image `path`, whose pieces begin at `begin`; `found` is the state of that.

    It stays open, so that a shell is of one release for life: an upgrade replaces files, this one among them."""

    def __init__(self, image: Image, first: list[Module], path: str, begin: int, found: stat_result) -> None:
        self.first, self.later, self.files = first, image["later"], image["files"]
        self.path, self.begin, self.found, self.fd = path, begin, found, _KEPT_FD
        self.places = {module[0]: place for place, module in enumerate(first)}
        self.loaded = 0
        """How many of the first modules are."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        place = self.places.get(name)
        if place is not None:
            for number in range(self.loaded, place):
                _load(*self.first[number])
            self.loaded = max(self.loaded, place + 1)
            return _found(*self.first[place], then=self._load_rest if name == _SHELL else None)
        if name not in self.later:
            return None
        states, offset, length = self.later[name]
        if not self._is_true(states):
            self._drop()
            return None
        modules = self._modules(offset, length)
        if modules is None:
            return None
        *others, last = modules
        for other in others:
            _load(*other)
        return _found(*last)

    def _is_true(self, states: list[State]) -> bool:
        """Whether what is here of a module is what this shell wants of it. Where its files have changed, and no
        others have, somebody is at work on them; else they are of a release that came after our start."""
        return all(map(_unchanged, states)) or not all(map(_unchanged, self.files))

    def _load_rest(self) -> None:
        """All the first modules: looking for each costs as much as loading it."""
        for module in self.first[self.loaded :]:
            _load(*module)
        self.loaded = len(self.first)

    def image_of(self, names: list[str]) -> tuple[object, ...] | None:
        """What tells this image from others; None where one of these modules comes from elsewhere."""
        if (
            not all(self._is_true(self.later[name][0]) for name in names if name in self.later)
            or not self._is_there()
        ):
            return None
        return self.path, self.found.st_ino, self.found.st_mtime_ns, self.found.st_size

    def _is_there(self) -> bool:
        fd = self._opened()
        if fd is not None and fd != _KEPT_FD:
            close(fd)
        return fd is not None

    def _drop(self) -> None:
        """Delete the image that is not true any more, or damaged: the next start makes a new one. Another one may be
        there by now, which is not ours to judge."""
        try:
            if _same(stat(self.path), self.found):
                unlink(self.path)
        except OSError:
            pass  # it is gone, or cannot be deleted by us

    def _opened(self) -> int | None:
        """The image; None where it is not kept, and was deleted or replaced since the start: places are others in a
        new one. A copy of the shell reads from the same open file: its position is nobody's."""
        try:
            if _same(fstat(_KEPT_FD), self.found):
                return _KEPT_FD
        except OSError:
            pass  # something has closed it
        try:
            fd = open(self.path, O_RDONLY | O_CLOEXEC)
        except OSError:
            return None
        if _same(fstat(fd), self.found):
            return fd
        close(fd)
        return None

    def _modules(self, offset: int, length: int) -> list[Module] | None:
        """A piece; None where it cannot be had, or was damaged."""
        fd = self._opened()
        if fd is None:
            return None
        try:
            return _piece(fd, self.begin + offset, length)
        except (EOFError, TypeError, ValueError):
            self._drop()
            return None
        finally:
            if fd != _KEPT_FD:
                close(fd)


def _piece(fd: int, offset: int, length: int) -> list[Module]:
    return loads(pread(fd, length, offset))  # type: ignore[no-any-return]  # noqa: S302  of ours


def _same(one: stat_result, other: stat_result) -> bool:
    return one.st_ino == other.st_ino and one.st_mtime_ns == other.st_mtime_ns and one.st_size == other.st_size


def _load(name: str, file: str, code: CodeType) -> None:
    """What importing does, without all that is looked at for modules in general: a third of the time."""
    if name not in sys.modules:
        spec = _spec(name, file)
        module = type(sys)(name)
        module.__file__ = file
        module.__spec__ = spec
        module.__loader__ = spec.loader
        module.__package__ = spec.parent
        if spec.submodule_search_locations is not None:
            module.__path__ = spec.submodule_search_locations
        vars(module)["__loaded__"] = _loaded
        sys.modules[name] = module
        exec(code, module.__dict__)  # noqa: S102  what importing is
        parent, _, tail = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], tail, module)


def _found(name: str, file: str, code: CodeType, then: Callable[[], None] | None = None) -> ModuleSpec:
    """What a finder gives: of a module whose code is here already. `then` is done once it is loaded."""
    spec = _spec(name, file)

    def exec_module(module: ModuleType) -> None:
        vars(module)["__loaded__"] = _loaded
        exec(code, module.__dict__)  # noqa: S102  what importing is
        if then is not None:
            then()

    spec.loader.exec_module = exec_module  # type: ignore[union-attr,method-assign]  # a class costs more
    return spec


def _spec(name: str, file: str) -> ModuleSpec:
    spec = ModuleSpec(name, SourceFileLoader(name, file), origin=file)
    setattr(spec, "_initializing", False)  # noqa: B010  asked for at each import of it, and seldom found is slow
    spec.has_location = True
    if file.endswith("/__init__.py"):
        spec.submodule_search_locations = [file[:-12]]
    return spec


def _loaded(name: str) -> ModuleType:
    """A module of ours: what aish.image puts in the place of imports."""
    return sys.modules.get(name) or _gcd_import(name)


def _find_elsewhere(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
    """The last finder's: what is neither ours nor Python's own is where a lean start does not look."""
    if path is not None:
        return None
    from aish import packages

    return packages.late(name)


def _half_os() -> None:
    """Have `import os` give what a shell wants of it: the system calls, and paths. All the rest comes as soon as
    anybody asks for any of it; the classes that the environment's dictionary is made of cost most. The module stays
    the same one."""
    module: Any = type(sys)("os")
    module.__dict__.update({name: value for name, value in vars(posix).items() if name[0] != "_" or name == "_exit"})
    del module.environ  # of bytes; that of os is another one
    module.__getattr__ = _whole_os
    module.devnull, module.SEEK_SET, module.SEEK_CUR, module.SEEK_END = "/dev/null", 0, 1, 2
    sys.modules["os"] = module


def _whole_os(name: str) -> object:
    """What `os` has under a name that half of it has not."""
    module: Any = sys.modules["os"]
    import posixpath

    module.path = sys.modules["os.path"] = posixpath
    if name == "path":
        return posixpath
    if vars(module).pop("__getattr__", None) is not None:
        spec = FrozenImporter.find_spec("os") or PathFinder.find_spec("os")
        assert spec is not None
        module.__spec__, module.__loader__ = spec, spec.loader
        module.__file__ = str(posixpath.__file__).replace("posixpath.py", "os.py")
        exec(spec.loader.get_code("os"), module.__dict__)  # type: ignore[union-attr]  # noqa: S102
    try:
        return vars(module)[name]
    except KeyError:
        raise AttributeError(f"module 'os' has no attribute '{name}'") from None


def enter(path: str) -> bool:
    """Have imports use the image `path`; False where it is not true any more.

    Raises OSError, and what marshal does for a file that was cut off."""
    disable()  # what is loaded stays: looking through it again and again takes a twelfth of the start
    fd = open(path, O_RDONLY | O_CLOEXEC)
    try:
        size = int.from_bytes(pread(fd, 8, READER_BYTES), "little")
        image: Image = loads(pread(fd, size, READER_BYTES + 8))  # noqa: S302  of ours
        if image["path"] != path or image["python"] != sys.version or not all(map(_unchanged, image["files"])):
            return False
        begin = at = READER_BYTES + 8 + size
        found = fstat(fd)
        if found.st_size != begin + image["length"]:
            return False
        first: list[Module] = []
        for length in image["first"]:
            first += _piece(fd, at, length)
            at += length
        kept = _Kept(image, first, path, begin, found)
        _keep_open(fd)
    finally:
        close(fd)
    if "os" not in sys.modules:
        _half_os()
    sys.path += image["added"]
    sys.meta_path.insert(0, kept)
    sys.meta_path.append(Namespace(find_spec=_find_elsewhere, added=image["added"]))
    return True


def _keep_open(fd: int) -> None:
    """Have the image stay open, where nobody has handed us the number, and the limit on descriptors allows it."""
    try:
        fstat(_KEPT_FD)
    except OSError:
        try:
            dup2(fd, _KEPT_FD, False)
        except OSError:
            pass  # it is opened again


def _unchanged(state: State) -> bool:
    path, mtime_ns, size_bytes = state
    try:
        found = stat(path)
    except OSError:
        return False
    return found.st_mtime_ns == mtime_ns and found.st_size == size_bytes
