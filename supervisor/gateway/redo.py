"""gateway.db-redo-N: what began and what ended since gateway.db was written last.

Nothing is sent before its beginning is here, nobody is answered before the end is (but for who is alone: see
outbox.py). A transaction of SQLite for each of both would be a fifth of what a request costs the gateway; a write to
the end of a file costs a tenth of that. The database follows in transactions of many rows, each with the place in
this file up to which it has everything, so a start finds exactly what it has not. (A redo log: Haerder and Reuter,
"Principles of transaction-oriented database recovery", 1983.)

    frame     length, CRC-32 of the body, body: an array of entries in MessagePack, all of them or none
    entry     Begun, Ended, Dropped, Placed

Reading ends at the first frame that is not whole. What was written survives kill -9 of the gateway (it is in the page
cache); after a power cut the last moments may be missing, as with the database, so what that has already is left out.
When a file has become long, one of the next number with what is under way takes its place: the transaction that says
so is the moment.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import stat
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import StorageError
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LONG_BYTES: Final = 2 << 20
"""Of some 7,000 requests: some 10 ms of a start after kill -9."""
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_HEAD: Final = struct.Struct("<II")
_ARRAY: Final = struct.Struct(">BI")
"""MessagePack's array 32: its mark, how many there are."""


class Begun(msgspec.Struct, array_like=True, tag=1):
    """The bound that was reserved is in `row`."""

    row: Row


class Ended(msgspec.Struct, array_like=True, tag=2):
    """The final figures are in `row`."""

    row: Row


class Dropped(msgspec.Struct, array_like=True, tag=3):
    """It is to be as if it had not begun."""

    number: int


class Placed(msgspec.Struct, array_like=True, tag=4):
    """Up to where the log of a session is read: what ended in the same frame came from there."""

    process: str
    path: bytes
    seen_s: float
    place: bytes


Entry = Begun | Ended | Dropped | Placed
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Entry]).decode
_decode_begun: Final = msgspec.msgpack.Decoder(Begun).decode


class Position(msgspec.Struct, array_like=True, frozen=True):
    """Up to there the database has everything."""

    generation: int
    offset: int


@dataclass(slots=True)
class Left:
    """What the database does not have."""

    under_way: dict[int, Row] = field(default_factory=dict)
    """By number, as they began."""
    ended: list[tuple[Row, Row | None]] = field(default_factory=list)
    """Each with what it began with; None: it reserved nothing."""
    places: list[Placed] = field(default_factory=list)
    last_number: int = 0
    """The highest that was seen at all."""

    def take(self, entry: Entry, *, known: bool) -> None:
        """The next one; `known`: the database has it."""
        match entry:
            case Begun(row):
                self.under_way[row.number] = row
                self.last_number = max(self.last_number, row.number)
            case Ended(row):
                bound = self.under_way.pop(row.number, None)
                self.last_number = max(self.last_number, row.number)
                if not known:
                    self.ended.append((row, bound))
            case Dropped(number):
                self.under_way.pop(number, None)
            case Placed():
                if not known:
                    self.places.append(entry)

    def without(self, numbers: set[int]) -> Left:
        """Less the requests that the database has all the same."""
        return Left(
            {number: row for number, row in self.under_way.items() if number not in numbers},
            [(row, bound) for row, bound in self.ended if row.number not in numbers],
            self.places,
            self.last_number,
        )


def encoded(entry: Entry) -> bytes:
    """What `RedoLog.append` takes. Raises StorageError."""
    try:
        return _encode(entry)
    except (OverflowError, UnicodeEncodeError) as error:  # beyond 64 bits; half a character
        raise StorageError(f"a value does not fit into the records: {error}") from error


def begun(entry: bytes) -> Row:
    """That of an encoded Begun."""
    return _decode_begun(entry).row


def frame(entries: Sequence[bytes]) -> bytes:
    body = _ARRAY.pack(0xDD, len(entries)) + b"".join(entries)
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def frames(data: bytes) -> Iterator[tuple[int, list[Entry]]]:
    """Those that are whole, each with the place where it ends. Raises msgspec.DecodeError for a whole one that this
    version cannot read."""
    at = 0
    while at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length
        body = data[at + _HEAD.size : end]
        if not length or end > len(data) or zlib.crc32(body) != checksum:
            return
        yield end, _decode(body)
        at = end


def look(path: str, position: Position) -> Left:
    """What is left beside the database at `path`, which has everything up to `position`. Changes nothing; raises
    StorageError."""
    return _read(path, position).left


@dataclass(slots=True)
class _Found:
    left: Left
    goes_on: Position
    strange: list[str]
    """Files that another version wrote."""


@dataclass(slots=True)
class _File:
    generation: int
    name: str
    frames: list[tuple[int, list[Entry]]] = field(default_factory=list)
    strange: bool = False

    @property
    def end(self) -> int:
        return self.frames[-1][0] if self.frames else 0

    @classmethod
    def read(cls, generation: int, name: str) -> _File:
        """Raises StorageError."""
        made = cls(generation, name)
        try:
            made.frames.extend(frames(_content(name)))
        except msgspec.DecodeError as error:
            made.strange = True
            log("records", f"{name} has what this version cannot read, and is kept: {error}")
        return made


def _read(path: str, position: Position) -> _Found:
    """What the database names, it has up to that place; a file that follows has no more than copies before the
    database knows of it. Where the machine went down, the one that it names may be gone or cut short, or one that
    follows be on the disk alone: then all there is counts, the one before it too, and a new one is begun."""
    files = [_File.read(number, name) for number, name in _files(path) if number >= position.generation - 1]
    named = next((file for file in files if file.generation == position.generation), None)
    whole = named is not None and named.end >= position.offset and not named.strange
    if whole:
        files = [file for file in files if file.generation >= position.generation]
        if not any(len(file.frames) > 1 or file.strange for file in files[1:]):
            files = files[:1]
    left = Left()
    for file in files:
        for end, entries in file.frames:
            known = (file.generation, end) <= (position.generation, position.offset)
            for entry in entries:
                left.take(entry, known=known)
    strange = [file.name for file in files if file.strange]
    if named is not None and whole and len(files) == 1:
        return _Found(left, Position(named.generation, named.end), strange)
    log("records", f"the redo log of {path} is not as the database knows it: the machine went down")
    last = max([position.generation, *(file.generation for file in files)])
    return _Found(left, Position(last + 1, 0), strange)


def _content(name: str) -> bytes:
    with _storage(name):
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "it is no file")
            return file.read()


def _files(path: str) -> list[tuple[int, str]]:
    numbers = []
    for name in glob.glob(f"{glob.escape(path)}-redo-*"):
        number = name.rpartition("-")[2]
        if number.isascii() and number.isdigit():
            numbers.append((int(number), name))
    return sorted(numbers)


class RedoLog:
    """The file that is written to, beside the database at `path`. `left` is what was found there."""

    def __init__(self, path: str, position: Position) -> None:
        """`position`: as the database has it. Raises StorageError."""
        self._path = path
        found = _read(path, position)
        self.left, self.position = found.left, found.goes_on
        for name in found.strange:
            with _storage(name):
                os.rename(name, f"{name}.unread")
        self._fd = self._open(self.position.generation)
        if self.position.generation == position.generation:
            self._forget_others()
        self._begun_at = 0
        """So much of it was there from its beginning."""
        self._next: tuple[int, Position] | None = None
        """The file that is to take its place."""
        try:
            with _storage(self._path):
                os.ftruncate(self._fd, self.position.offset)
        except BaseException:
            os.close(self._fd)
            raise

    def _open(self, generation: int, flags: int = 0) -> int:
        name = _name(self._path, generation)
        with _storage(name):
            return os.open(name, _FLAGS | flags, 0o600)

    def _forget_others(self) -> None:
        """But for the one before: the disk may have the database's word of this one, and not yet this one."""
        for generation, name in _files(self._path):
            if not self.position.generation - 1 <= generation <= self.position.generation:
                with contextlib.suppress(OSError):  # else the next start deletes it
                    os.unlink(name)

    @property
    def long(self) -> bool:
        return self.position.offset - self._begun_at > LONG_BYTES

    def append(self, entries: Sequence[bytes]) -> None:
        """All of them, or none: raises StorageError then."""
        data = frame(entries)
        with _storage(_name(self._path, self.position.generation)):
            _write(self._fd, data, self.position.offset)
        self.position = Position(self.position.generation, self.position.offset + len(data))

    def renew(self, entries: Sequence[bytes]) -> Position:
        """Begin a file with these, which is that of the log from `adopt` on. Raises StorageError."""
        self.abandon()
        generation = self.position.generation + 1
        fd = self._open(generation, os.O_TRUNC)
        position = Position(generation, 0)
        try:
            if entries:
                data = frame(entries)
                with _storage(_name(self._path, generation)):
                    _write(fd, data, 0)
                position = Position(generation, len(data))
        except BaseException:
            os.close(fd)
            raise
        self._next = fd, position
        return position

    def adopt(self) -> None:
        """The database knows of the file that was begun: go on there."""
        if self._next is None:
            return
        old = self._fd
        (self._fd, self.position), self._next = self._next, None
        self._begun_at = self.position.offset
        with contextlib.suppress(OSError):
            os.close(old)
        self._forget_others()

    def abandon(self) -> None:
        """The database does not."""
        if self._next is None:
            return
        (fd, position), self._next = self._next, None
        os.close(fd)
        with contextlib.suppress(OSError):
            os.unlink(_name(self._path, position.generation))

    def close(self) -> None:
        """What is appended later is an error."""
        self.abandon()
        with contextlib.suppress(OSError):
            os.close(self._fd)
        self._fd = -1


def create(path: str, rows: Iterable[tuple[Row, Row | None]] = ()) -> Position:
    """The first log of the database at `path`, in place of whatever is there. `rows`: how requests began, and how
    they ended; None: they are under way. Raises StorageError."""
    for _, name in _files(path):
        with _storage(name):
            os.unlink(name)
    entries = []
    for bound, ended in rows:
        entries.append(encoded(Begun(bound)))
        if ended is not None:
            entries.append(encoded(Ended(ended)))
    name = _name(path, 1)
    with _storage(name):
        fd = os.open(name, _FLAGS | os.O_EXCL, 0o600)
        try:
            if entries:  # which the database is about to have no longer
                _write(fd, frame(entries), 0)
                os.fsync(fd)
        finally:
            os.close(fd)
    return Position(1, 0)


def _name(path: str, generation: int) -> str:
    return f"{path}-redo-{generation}"


def _write(fd: int, data: bytes, offset: int) -> None:
    """Raises OSError, and leaves nothing of it."""
    view, at = memoryview(data), offset
    try:
        while view:
            written = os.pwrite(fd, view, at)
            view, at = view[written:], at + written
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, offset)
        raise


@contextlib.contextmanager
def _storage(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StorageError(
                f"the disk is full: {name} cannot grow", hint="free some space and try again"
            ) from error
        raise StorageError(f"cannot use {name}: {error.strerror}") from error
