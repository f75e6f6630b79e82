"""A lean start: the modules that every shell needs come out of one file, and nothing else is looked at.

The launcher (bin/aish) has Python start without `site`: no .pth file is read, and the environment's PYTHON* variables
count for the programs that a shell starts, not for itself. It reads the image that `aish.image` has written, executes
this module out of it and asks whether the image is still true. What a lean start does not find, `aish.packages` does.

No `from __future__` here: that would be the one import of a file that is not in the image.
"""

import posix
import sys
from _frozen_importlib import FrozenImporter, ModuleSpec
from _frozen_importlib_external import PathFinder, SourceFileLoader
from marshal import loads
from posix import O_CLOEXEC, O_RDONLY, close, open, pread, stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import Any, TypedDict

    State = tuple[str, int, int]
    """A file, its time of change in nanoseconds, its size in bytes."""

    class Image(TypedDict):
        """What `aish.image` keeps: it has to be what marshal can write."""

        python: str
        added: list[str]
        """Folders behind Python's own in sys.path."""
        files: list[State]
        """What must not have changed since."""
        first: list[tuple[str, str, CodeType]]
        """Modules that are always needed: name, file, code. Each stands behind those that it imports."""
        later: dict[str, tuple[list[State], int, int]]
        """Modules that may be: their files, and where in the image they are and how long. Of one that only brings
        others together these stand before it."""


class _Loader(SourceFileLoader):
    """Of a module whose code is here already."""

    code: "CodeType"

    def exec_module(self, module: "ModuleType") -> None:
        exec(self.code, module.__dict__)  # noqa: S102  what importing is


class _Kept:
    """The first finder: modules of the image."""

    def __init__(self, image: "Image", path: str, end: int) -> None:
        self.first, self.later = image["first"], image["later"]
        self.path, self.end = path, end
        self.places = {module[0]: place for place, module in enumerate(self.first)}
        self.loaded = 0
        """How many of the first modules are."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        place = self.places.get(name)
        if place is not None:
            for number in range(self.loaded, place):
                _load(*self.first[number])
            self.loaded = max(self.loaded, place + 1)
            return _spec(*self.first[place])
        if name not in self.later:
            return None
        states, offset, length = self.later[name]
        if not all(map(_unchanged, states)):
            return None
        *others, last = self._modules(offset, length)
        for other in others:
            _load(*other)
        return _spec(*last)

    def _modules(self, offset: int, length: int) -> "list[tuple[str, str, CodeType]]":
        fd = open(self.path, O_RDONLY | O_CLOEXEC)
        try:
            return loads(pread(fd, length, self.end + offset))  # type: ignore[no-any-return]  # noqa: S302
        finally:
            close(fd)


def _load(name: str, file: str, code: "CodeType") -> None:
    """What importing does, without all that is looked at for modules in general: a third of the time."""
    if name not in sys.modules:
        spec = _spec(name, file, code)
        module = type(sys)(name)
        module.__file__ = file
        module.__spec__ = spec
        module.__loader__ = spec.loader
        module.__package__ = spec.parent
        if spec.submodule_search_locations is not None:
            module.__path__ = spec.submodule_search_locations
        sys.modules[name] = module
        exec(code, module.__dict__)  # noqa: S102  what importing is
        parent, _, tail = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], tail, module)


def _spec(name: str, file: str, code: "CodeType") -> ModuleSpec:
    loader = _Loader(name, file)
    loader.code = code
    spec = ModuleSpec(name, loader, origin=file)
    spec.has_location = True
    if file.endswith("/__init__.py"):
        spec.submodule_search_locations = [file[:-12]]
    return spec


class Rest:
    """The last finder: what is neither ours nor Python's own is where a lean start does not look."""

    def __init__(self, added: list[str]) -> None:
        self.added = added

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
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


def enter(image: "Image", path: str, end: int) -> bool:
    """Have imports use the image, whose modules that may be needed follow at `end` in the file `path`; False where it
    is not true any more."""
    if image["python"] != sys.version or not _of(image["added"][0], path) or not all(map(_unchanged, image["files"])):
        return False
    if "os" not in sys.modules:
        _half_os()
    sys.path += image["added"]
    sys.meta_path.insert(0, _Kept(image, path, end))
    sys.meta_path.append(Rest(image["added"]))
    return True


def _of(packages: str, path: str) -> bool:
    """Whether the image `path` lies where it was made. One that came along with a copy of the installation is true to
    the files of the other one, which would run in place of ours."""
    try:
        made, found = stat(packages), stat(path[: path.rindex("/__pycache__/")])
    except OSError:
        return False
    return (made.st_ino, made.st_dev) == (found.st_ino, found.st_dev)


def _unchanged(state: "State") -> bool:
    path, mtime_ns, size_bytes = state
    try:
        found = stat(path)
    except OSError:
        return False
    return found.st_mtime_ns == mtime_ns and found.st_size == size_bytes
