"""Trees of scripts and sourced files, kept from one shell to the next: reading a text takes longer than running it.

A file is known again by its inode, size and times, and by how this shell reads (docs/adr/0030-kept-trees.md). Each
complete command is kept with the options and aliases that it was read with: where these differ now, it is read again,
and all behind it. The body of a function is decoded when the function is first called.

What is read for the first time `aish.lang.recording` reads. A start whose script is kept loads neither that nor the
grammar.
"""

from __future__ import annotations

import marshal
import os
import sys
from time import time

from aish.lang import tree
from aish.lang.text import ENCODING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from aish.lang.parser import Parser
    from aish.lang.recording import RecordingParser
    from aish.lang.source import Source

    State = list[object]
    """Options and aliases that a command was read with."""
    Command = tuple[int, int, bytes]
    """Its state's number, where the text goes on behind it, the tree."""
    Kind = tuple[type[tree.Node], tuple[str, ...]]
    """Of nodes: their class and its slots."""
    Kept = tuple[list[Kind], list[State], list[Command], int | None]
    """What is kept of a file. The last: where its text ends, once it was read so far."""

MOST_BYTES = 8 << 20
SUM_BYTES = 8
"""In front: most of a file is decoded long after it was read, and marshal does not notice what a disk lost."""
_OTHERS_WRITE = 0o022
_SETTLED_S, _COARSE_SETTLED_S = 0.1, 2.5
"""A file that has just changed may change again within the same tick of its clock: of 10 ms at most, but for the file
systems that count whole seconds, or pairs of them."""
_SECOND_NS = 1_000_000_000
REGULAR, FOLDER, _KIND_OF_FILE = 0o100000, 0o040000, 0o170000  # of `stat`, a module that a lean start does without
_PRIME = (1 << 61) - 1
_FEW = 200
"""Characters that are looked at behind each command for whether it is the last one."""
TUPLE, FUNCTION = -1, -2
"""In the place of a kind's number."""
_PLAIN = frozenset([str, int, bool, type(None)])
"""What stands for itself."""
_READING = ("parser", "conditions", "counting", "tree_bash", "tree_broken", "tree_conditions")


def parser_of(
    source: Source,
    status: os.stat_result,
    folder: str,
    began_s: float,
    more: Callable[[], str] | None = None,
    ended: Callable[[], bool] | None = None,
) -> KeptParser | None:
    """What reads the file whose state is `status`; None where its tree cannot be kept in `folder`, or what would
    read it is not known: of a shell that began before files of ours changed nobody knows which of them it has.

    `more` gives more of its text, '' at the end; None: all of it is in `source`. `ended`: whether more would."""
    settled = _SETTLED_S if status.st_ctime_ns % _SECOND_NS else _COARSE_SETTLED_S
    fresh = time() - max(status.st_mtime, status.st_ctime) < settled
    if not folder or fresh or status.st_mode & _KIND_OF_FILE != REGULAR or os.geteuid() != os.getuid():
        return None
    try:
        identity = _identity(status, began_s)
    except OSError:
        return None  # no descriptor left, or we are no folder of files: the text can be read all the same
    if identity is None:
        return None
    place = f"{folder}/{status.st_dev:x}-{status.st_ino:x}"
    parser = KeptParser(source, place, identity, more, ended)
    return parser if parser.is_kept or _can_be_kept(folder) else None


def _identity(status: os.stat_result, began_s: float) -> tuple[object, ...] | None:
    """What must be as it was: the file, and what reads it. Raises OSError."""
    file = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    image = getattr(sys.meta_path[0], "image_of", None)  # of aish.lean
    own = image([f"aish.lang.{name}" for name in _READING]) if image is not None else None
    if own is None:
        own = _own_files(began_s)
    return None if own is None else (sys.version, ENCODING, own, *file)


def state_of(parser: KeptParser | Parser) -> State:
    """What a command is read with, and kept with."""
    return [parser.posix, parser.extended, dict(parser.aliases or {})]


def _own_files(began_s: float) -> tuple[object, ...] | None:
    """Ours, as they are since this shell began; None where one has changed. Raises OSError."""
    here = tree.__file__.rpartition("/")[0]
    own = []
    with os.scandir(here) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                found = entry.stat()
                if found.st_ctime > began_s:
                    return None
                own.append((entry.name, found.st_mtime_ns, found.st_size))
    return here, tuple(sorted(own))


class KeptParser:
    """Gives the commands that are kept, and has those read that are not. In use it is like a Parser."""

    def __init__(
        self,
        source: Source,
        place: str,
        identity: tuple[object, ...],
        more: Callable[[], str] | None,
        ended: Callable[[], bool] | None,
    ) -> None:
        self.posix = self.extended = self.forgiving = False
        self.aliases: Mapping[str, str] | None = None
        self.warn: Callable[[str, int], None] | None = None
        self.pos = 0
        self._source = source
        self._place = place
        self._identity = identity
        self._more = more
        self._ended = ended
        self._kinds, self._states, self._commands, self._end = _read(place, identity)
        self.is_kept = bool(self._commands)
        """Whether anything is, from before."""
        self._at = 0
        self._recording: RecordingParser | None = None
        """What reads the rest of the text, once something was not kept."""

    def next(self) -> tree.Sequence | None:
        """The next complete command; None at the end of the text. Raises ParseError."""
        if self._recording is None:
            state = state_of(self)
            if self._at < len(self._commands):
                number, end, data = self._commands[self._at]
                if self._states[number] == state and self._has(end) and self._commands:
                    self._at += 1
                    self.pos = end
                    return decoded(data, self._kinds)  # type: ignore[no-any-return]  # it was a Sequence
            elif self._ends():
                self.pos = len(self._source.text)
                return None
            self._recording = self._recorder()
        return self._read_on(self._recording)

    def distrust(self) -> None:
        """The file has changed since it was opened: what comes now is to be read."""
        self._commands.clear()
        self._end = None
        self._at = 0

    def recover(self) -> None:
        """After a ParseError: go on behind the line that it stands on."""
        assert self._recording is not None, "what was kept has no errors"
        self._recording.recover()
        self.pos = self._recording.pos

    def _ends(self) -> bool:
        """Whether the text ends where it did. Looking for that may tell us that the file has changed."""
        end = self._end
        return end is not None and self._has(end) and self._end == end and not self._has(end + 1)

    def _has(self, length: int) -> bool:
        """Whether there is so much text."""
        source = self._source
        while len(source.text) < length:
            piece = self._more() if self._more is not None else ""
            if not piece:
                self._more = None
                return False
            source.text += piece
        return True

    def _recorder(self) -> RecordingParser:
        from aish.lang.recording import RecordingParser

        del self._commands[self._at :]
        del self._states[1 + max([number for number, _, _ in self._commands], default=-1) :]
        kept = self._kinds, self._states, self._commands, self._end
        return RecordingParser(self._source, self._more, self.pos, kept)

    def _read_on(self, parser: RecordingParser) -> tree.Sequence | None:
        parser.posix, parser.extended, parser.forgiving = self.posix, self.extended, self.forgiving
        parser.aliases, parser.warn = self.aliases, self.warn
        try:
            found = parser.next()
        finally:
            self.pos = parser.pos
        text = self._source.text
        if len(text) - self.pos < _FEW and not text[self.pos :].strip() and (self._ended is None or self._ended()):
            parser.end_at(len(text))
            self.close()  # the command may be one that nobody comes back from
        return found

    def close(self) -> None:
        """Nobody reads on: write down what is new."""
        if self._recording is not None:
            self._recording.write(self._place, self._identity)


# ---------------------------------------------------------------------------------------------- files


def _read(place: str, identity: tuple[object, ...]) -> Kept:
    """What is kept of a file; nothing where that is not this user's alone, or of another time."""
    nothing: Kept = ([], [], [], None)
    try:
        fd = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return nothing
    try:
        status = os.fstat(fd)
        if not is_ours(status, REGULAR) or status.st_size > MOST_BYTES:
            return nothing
        data = os.read(fd, status.st_size)
    except OSError:
        return nothing
    finally:
        os.close(fd)
    if sum_of(data[SUM_BYTES:]) != data[:SUM_BYTES]:
        return nothing  # written by half, damaged, or written by something else
    try:
        known, kinds, states, commands, end = marshal.loads(data[SUM_BYTES:])  # noqa: S302  of ours, as was seen
    except (EOFError, ValueError, TypeError, MemoryError):
        return nothing  # by another Python
    return ([_kind(*kind) for kind in kinds], states, commands, end) if known == identity else nothing


def is_ours(status: os.stat_result, kind: int) -> bool:
    """Whether it is of this kind, and nobody else's to write."""
    of_kind = status.st_mode & _KIND_OF_FILE == kind
    return of_kind and status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_WRITE


def above(folder: str) -> str:
    """What is there of the folder: it, or one of the three that it is in: a home that is not there is not made.
    Raises OSError."""
    for _ in range(3):
        try:
            os.stat(folder)
        except OSError:
            folder = folder.rpartition("/")[0]
        else:
            return folder
    os.stat(folder)
    return folder


def _can_be_kept(folder: str) -> bool:
    try:
        return os.access(above(folder), os.W_OK | os.X_OK)
    except OSError:
        return False


def sum_of(data: bytes) -> bytes:
    """A checksum, of what a start has already: a number that long, divided by a prime."""
    return (int.from_bytes(data, "little") % _PRIME).to_bytes(SUM_BYTES, "little")


# ---------------------------------------------------------------------------------------------- trees


class LateFunction(tree.Function):
    """A function whose body is decoded when somebody asks for it."""

    __slots__ = ("_body", "_data", "_kinds", "_range")

    def __init__(
        self, start: int, end: int, name: str, data: bytes, span: tuple[int, int], kinds: list[Kind]
    ) -> None:
        self.start = start
        self.end = end
        self.name = name
        self._data, self._range, self._kinds = data, span, kinds
        self._body: tree.Node | None = None

    @property
    def body(self) -> tree.Node:  # type: ignore[override]
        if self._body is None:
            self._body = decoded(self._data, self._kinds)
        return self._body

    @property
    def body_range(self) -> tuple[int, int]:
        return self._range


def decoded(data: bytes, kinds: list[Kind]) -> Any:
    """What `recording.Encoder` made bytes of."""
    return _node(marshal.loads(data), kinds)  # noqa: S302  of ours


def _node(item: Any, kinds: list[Kind]) -> Any:
    if type(item) is list:
        return [one if type(one) in _PLAIN else _node(one, kinds) for one in item]
    number = item[0]
    if number == TUPLE:
        return tuple([one if type(one) in _PLAIN else _node(one, kinds) for one in item[1:]])
    if number == FUNCTION:
        _, start, end, name, body, span = item
        return LateFunction(start, end, name, body, span, kinds)
    kind, slots = kinds[number]
    found = kind.__new__(kind)
    values = iter(item)
    next(values)
    for name, value in zip(slots, values, strict=True):
        setattr(found, name, value if type(value) in _PLAIN else _node(value, kinds))
    return found


def _kind(module: str, name: str, slots: tuple[str, ...]) -> Kind:
    if module not in sys.modules:
        __import__(module)  # importlib would be another import
    return getattr(sys.modules[module], name), slots
