"""Trees of sourced files, kept from one shell to the next: reading nvm's or git's file takes longer than running it.

A file is known again by its place, inode, size and times, and by how this shell reads (docs/adr/0030-kept-trees.md).
Each complete command is kept with the options and aliases that it was read with: where these differ now, it is read
again, and all behind it. The body of a function is decoded when the function is first called.
"""

from __future__ import annotations

import marshal
import os
import stat
import sys
import time
import zlib

from aish.lang import tree, tree_bash, tree_broken, tree_conditions
from aish.lang.lexer import NEWLINE, Token
from aish.lang.parser import Parser
from aish.lang.source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Command = tuple[int, int, bytes]
    """Its state's number, where the text goes on behind it, the tree."""

MOST_FILES = 100
_MOST_BYTES = 8 << 20
_MOST_NAME = 200
_SETTLED_S = 1.0
"""A file that has just changed may change again within the same tick of its clock."""
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_SUM_BYTES = 4
"""In front: most of a file is decoded long after it was read, and marshal does not notice what a disk lost."""


def parser_of(source: Source, size_bytes: int, status: os.stat_result, folder: str) -> KeptParser | None:
    """What reads a sourced file of `size_bytes`; None where its tree cannot be kept in `folder`."""
    path = os.path.realpath(source.name)
    name = path.replace("%", "%%").replace("/", "%")
    settled = time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED_S
    known = stat.S_ISREG(status.st_mode) and status.st_size == size_bytes
    if not folder or len(os.fsencode(name)) > _MOST_NAME or not settled or not known or os.geteuid() != os.getuid():
        return None
    try:
        identity = _identity(path, status)
    except OSError:
        return None  # no descriptor left, or we are no folder of files: the text can be read all the same
    return KeptParser(source, os.path.join(folder, name), identity)


def _identity(path: str, status: os.stat_result) -> tuple[object, ...]:
    """What must be as it was: the file, and what reads it. Raises OSError."""
    here = os.path.dirname(tree.__file__)
    own = []
    with os.scandir(here) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                found = entry.stat()
                own.append((entry.name, found.st_mtime_ns, found.st_size))
    file = (path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return sys.version, here, tuple(sorted(own)), *file


class KeptParser(Parser):
    """Gives the commands that are kept, and reads those that are not."""

    def __init__(self, source: Source, place: str, identity: tuple[object, ...]) -> None:
        super().__init__(source)
        self._place = place
        self._identity = identity
        self._original = source.text
        self._states, self._commands = _read(place, identity)
        self._at = 0
        self._keeps = True
        """Until something is met that cannot be kept."""
        self._news = False

    def next(self) -> tree.Sequence | None:
        """The next complete command."""
        state: list[object] = [self.posix, self.extended, dict(self.aliases or {})]
        if self._at < len(self._commands):
            number, end, data = self._commands[self._at]
            if self._states[number] == state:
                self._at += 1
                self.pos = end
                self.tok = Token(NEWLINE, end, end, "")
                found = _decoded(marshal.loads(data))  # noqa: S302  of ours
                assert isinstance(found, tree.Sequence)
                return found
            del self._commands[self._at :]
            del self._states[1 + max([number for number, _, _ in self._commands], default=-1) :]
        warn = self.warn

        def told(message: str, at: int) -> None:
            self._keeps = False  # what is said of a text is said each time
            if warn is not None:
                warn(message, at)

        self.warn = told
        try:
            node = super().next()
        finally:
            self.warn = warn
        if node is not None and self._keeps and self.text == self._original:
            self._keep(state, node)
        else:
            self._keeps = False
        return node

    def _keep(self, state: list[object], node: tree.Sequence) -> None:
        if state not in self._states:
            self._states.append(state)
        try:
            data = marshal.dumps(_encoded(node))
        except ValueError:
            self._keeps = False
            return
        self._commands.append((self._states.index(state), self.pos, data))
        self._at += 1
        self._news = True

    def close(self) -> None:
        """The file has run: write down what is new of it."""
        if self._news:
            data = marshal.dumps((self._identity, self._states, self._commands))  # type: ignore[arg-type]  # object
            try:
                if len(data) + _SUM_BYTES <= _MOST_BYTES:
                    _write(self._place, _sum(data) + data)
                else:
                    os.unlink(self._place)  # what was kept before is of no use any more
            except OSError:
                pass  # no room, or no folder of ours: the next shell reads the file


# ---------------------------------------------------------------------------------------------- files


def _read(place: str, identity: tuple[object, ...]) -> tuple[list[list[object]], list[Command]]:
    """What is kept of a file; nothing where that is not this user's alone, or of another time."""
    try:
        fd = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return [], []
    with open(fd, "rb", buffering=0) as file:
        status = os.fstat(fd)
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_WRITE
        if not ours or status.st_size > _MOST_BYTES:
            return [], []
        data = file.read()
    if _sum(data[_SUM_BYTES:]) != data[:_SUM_BYTES]:
        return [], []  # written by half, damaged, or written by something else
    try:
        kept = marshal.loads(data[_SUM_BYTES:])  # noqa: S302  nobody else can have written it
        known, states, commands = kept
    except (EOFError, ValueError, TypeError, MemoryError):
        return [], []  # by another Python
    return (states, commands) if known == identity else ([], [])


def _sum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_SUM_BYTES, "big")


def _write(place: str, data: bytes) -> None:
    """Raises OSError."""
    folder = os.path.dirname(place)
    os.makedirs(folder, 0o700, exist_ok=True)
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & _OTHERS_WRITE:
        return
    fresh = f"{place}.{os.getpid()}"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(data)
        os.rename(fresh, place)
    except BaseException:
        os.unlink(fresh)
        raise
    _thin_out(folder)


def _thin_out(folder: str) -> None:
    """The oldest ones go where there are too many."""
    with os.scandir(folder) as entries:
        found = [(entry.stat(follow_symlinks=False).st_mtime, entry.path) for entry in entries]
    for _, path in sorted(found)[:-MOST_FILES]:
        os.unlink(path)


# ---------------------------------------------------------------------------------------------- trees


class _LateFunction(tree.Function):
    """A function whose body is decoded when somebody asks for it."""

    __slots__ = ("_body", "_data", "_range")

    def __init__(self, start: int, end: int, name: str, kept: tuple[tuple[int, int], bytes]) -> None:
        self.start = start
        self.end = end
        self.name = name
        self._range, self._data = kept
        self._body: tree.Node | None = None

    @property
    def body(self) -> tree.Node:  # type: ignore[override]
        if self._body is None:
            found = _decoded(marshal.loads(self._data))  # noqa: S302  of ours
            assert isinstance(found, tree.Node)
            self._body = found
        return self._body

    @property
    def body_range(self) -> tuple[int, int]:
        return self._range


_KINDS: list[type[tree.Node]] = [
    kind
    for kind in (vars(tree) | vars(tree_bash) | vars(tree_broken) | vars(tree_conditions)).values()
    if isinstance(kind, type) and issubclass(kind, tree.Node)
]
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
_SLOTS = [
    tuple(name for base in reversed(kind.__mro__) for name in getattr(base, "__slots__", ())) for kind in _KINDS
]
_FUNCTION = _NUMBERS[tree.Function]


def _encoded(item: Any) -> Any:
    """A tree as tuples that begin with the number of the node's kind; lists; tuples behind a -1. Raises ValueError
    for what is none of these."""
    kind = type(item)
    if kind is list:
        return [_encoded(one) for one in item]
    if kind is tuple:
        return (-1, *[_encoded(one) for one in item])
    if isinstance(item, tree.Function):
        return _FUNCTION, item.start, item.end, item.name, item.body_range, marshal.dumps(_encoded(item.body))
    if kind not in _NUMBERS:
        if item is None or kind in (str, int, bool):
            return item
        raise ValueError(kind.__name__)
    number = _NUMBERS[kind]
    values = [number]
    for name in _SLOTS[number]:
        value = getattr(item, name)
        plain = type(value)
        values.append(value if plain is str or plain is int or value is None else _encoded(value))
    return tuple(values)


def _decoded(item: Any) -> Any:
    kind = type(item)
    if kind is list:
        return [_decoded(one) for one in item]
    if kind is not tuple:
        return item
    number = item[0]
    if number == -1:
        return tuple([_decoded(one) for one in item[1:]])
    if number == _FUNCTION:
        _, start, end, name, span, data = item
        return _LateFunction(start, end, name, (span, data))
    found = object.__new__(_KINDS[number])
    for name, value in zip(_SLOTS[number], item[1:], strict=True):
        plain = type(value)
        setattr(found, name, value if plain is str or plain is int or value is None else _decoded(value))
    return found
