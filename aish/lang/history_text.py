"""A history as a text file, a line each: what bash's HISTFILE is. What is made here is 0600."""

from __future__ import annotations

import errno
import os
import stat

from aish.lang.text import decode, encode

_DATABASE = b"SQLite format 3\0"
"""How a file begins that a line of text would damage: our own history is one."""

_TAIL = 4096
"""Bytes of a file by which the place in it is found again."""


class _Place:
    """Up to where a file was read. `file`: which one that was, `tail`: its last lines up to there."""

    __slots__ = ("end", "file", "tail")

    def __init__(self, end: int, file: tuple[int, int], tail: bytes) -> None:
        self.end = end
        self.file = file
        self.tail = tail


class Files:
    """Up to where files were read, and what in them was written here: `history -n` leaves both out.

    Places, not a count of lines: between two of ours another shell may have written its own.
    """

    __slots__ = ("_ours", "_read_to")

    def __init__(self) -> None:
        self._read_to: dict[str, _Place] = {}
        self._ours: dict[str, list[tuple[tuple[int, int], int, int]]] = {}
        """Behind what was read: in which file, from where to where."""

    def read(self, path: str, *, new: bool = False) -> list[str]:
        """The lines, without the times that bash notes between them (#1700000000); or those that are `new`: not
        read before, nor written here. Raises OSError."""
        name = os.path.realpath(path)
        place = self._read_to.get(name) if new else None
        start = 0
        with open(path, "rb") as file:
            if file.peek(len(_DATABASE)).startswith(_DATABASE):
                raise _no_text(path)
            found = os.fstat(file.fileno())
            which = _which(found)
            ours = [(first, last) for at, first, last in self._ours.get(name, []) if new and at == which]
            if not stat.S_ISREG(found.st_mode):
                place = None
            if place is not None and which == place.file:
                start = max(place.end - max(len(place.tail), 1), 0)
                file.seek(start)
            data = file.read()
            there = place is None or (place.end <= found.st_size and data.startswith(place.tail))
            if place is not None and which == place.file and not there:
                # cut where it stands; or another, that has got the number of one that is gone
                place, ours, start = _Place(place.end, (0, 0), place.tail), [], 0
                file.seek(0)
                data = file.read()
        end, tail = start + len(data), data
        if place is not None and which == place.file:
            tail = place.tail + data[place.end - start :]
        for first, last in reversed(ours):
            data = data[: first - start] + data[last - start :]
        if place is not None and which != place.file:
            data = _behind(data, place.tail)
        elif place is not None and place.end:  # the end of the line before; or the rest of one, written since
            data = data[place.end - 1 - start :].partition(b"\n")[2]
        self._ours.pop(name, None)
        self._read_to[name] = _Place(end, which, _last_of(tail))
        return _lines(data)

    def write(self, path: str, lines: list[str], *, append: bool) -> None:
        """Put lines into the file: behind what it has, or in the place of it. Raises OSError."""
        if is_database(path):
            raise _no_text(path)
        mode = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC)
        data = encode("".join([line + "\n" for line in lines]))
        with open(os.open(path, mode, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                return
            end = os.lseek(file.fileno(), 0, os.SEEK_CUR)  # of what was written, whoever else has appended
        if data or not append:
            self._wrote(os.path.realpath(path), end - len(data), _which(found), data)

    def _wrote(self, name: str, first: int, file: tuple[int, int], data: bytes) -> None:
        ours = self._ours.setdefault(name, [])
        place = self._read_to.get(name)
        last = first + len(data)
        if not first:
            ours.clear()
            self._read_to[name] = _Place(last, file, _last_of(data))
        elif not ours and place is not None and (file, first) == (place.file, place.end):
            self._read_to[name] = _Place(last, file, _last_of(place.tail + data))
        elif ours and (ours[-1][0], ours[-1][2]) == (file, first):
            ours[-1] = file, ours[-1][1], last
        else:
            ours.append((file, first, last))


def _which(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _last_of(data: bytes) -> bytes:
    """Its last whole lines."""
    return data[-_TAIL:].partition(b"\n")[2] if len(data) > _TAIL else data


def _behind(data: bytes, tail: bytes) -> bytes:
    """What stands behind `tail` in a file that has taken the place of the one that was read: its first lines may have
    been cut off. Nothing where no line of it is left: which lines are new nobody knows then."""
    at = 0 if data.startswith(tail) else data.find(b"\n" + tail) + 1
    if tail and (at or data.startswith(tail)):
        return data[at + len(tail) :]
    while tail and not data.startswith(tail):
        tail = tail.partition(b"\n")[2]
    return data[len(tail) :] if tail else b""


def cut(path: str, most: int) -> None:
    """Leave the last lines only, with their times (HISTFILESIZE), and the file whose it was. Raises OSError."""
    if is_database(path) or not os.path.isfile(path):
        return
    path = os.path.realpath(path)
    with open(path, "rb") as file:
        rows = file.read().removesuffix(b"\n").split(b"\n")
        was = os.fstat(file.fileno())
    at = len(rows)
    while at and (most or _is_time(rows[at - 1])):
        at -= 1
        most -= not _is_time(rows[at])
    if not at:
        return
    data = b"".join([row + b"\n" for row in rows[at:]])
    import tempfile

    fd, new = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with open(fd, "wb") as file:
            if _given_to(fd, was):
                os.fchmod(fd, stat.S_IMODE(was.st_mode))
                file.write(data)
                file.flush()
                os.replace(new, path)
                return
    except OSError:
        os.unlink(new)
        raise
    os.unlink(new)
    with open(path, "r+b") as file:  # it is longer: there is room
        file.write(data)
        file.truncate()


def _given_to(fd: int, was: os.stat_result) -> bool:
    """Whether it could be made the file of whoever owns the other: root, with the HOME of a user, has made it."""
    made = os.fstat(fd)
    if (made.st_uid, made.st_gid) == (was.st_uid, was.st_gid):
        return True
    try:
        os.fchown(fd, was.st_uid, was.st_gid)
    except OSError:
        return False
    return True


def _is_time(row: bytes) -> bool:
    return row[:1] == b"#" and row[1:].isdigit()


def _lines(data: bytes) -> list[str]:
    return [decode(row) for row in data.split(b"\n") if row and not _is_time(row)]


def is_database(path: str) -> bool:
    """Whether a database stands there, whatever led to it: a link, or another shell's HISTFILE."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False  # reading would take from a pipe what is another's
        with open(path, "rb") as file:
            return file.read(len(_DATABASE)) == _DATABASE
    except OSError:
        return False  # none is there, or none that we can read; writing tells


def _no_text(path: str) -> OSError:
    return OSError(errno.EINVAL, "a database, not a text file", path)
