"""A history as a text file, a line each: what bash's HISTFILE is. What is made here is 0600."""

from __future__ import annotations

import errno
import os
import stat

from aish.lang.text import decode, encode

_DATABASE = b"SQLite format 3\0"
"""How a file begins that a line of text would damage: our own history is one."""


class Files:
    """Up to where files were read, and what in them was written here: `history -n` leaves both out.

    Places, not a count of lines: between two of ours another shell may have written its own.
    """

    __slots__ = ("_ours", "_read_to")

    def __init__(self) -> None:
        self._read_to: dict[str, int] = {}
        self._ours: dict[str, list[tuple[int, int]]] = {}
        """Behind what was read: from where to where."""

    def read(self, path: str, *, new: bool = False) -> list[str]:
        """The lines, without the times that bash notes between them (#1700000000); or those that are `new`: not
        read before, nor written here. Raises OSError."""
        name = os.path.realpath(path)
        ours = self._ours.get(name, []) if new else []
        with open(path, "rb") as file:
            if file.peek(len(_DATABASE)).startswith(_DATABASE):
                raise _no_text(path)
            begin = self._read_to.get(name, 0) if new else 0
            size = os.fstat(file.fileno()).st_size
            if size < begin:  # somebody has cut it: which lines are new nobody knows
                begin, ours = size, []
            start = max(begin - 1, 0)
            if start:
                file.seek(start)
            data = file.read()
        end = start + len(data)
        for first, last in reversed(ours):
            data = data[: first - start] + data[last - start :]
        if begin:  # the end of the line before; or the rest of one, where the file is another by now
            data = data.partition(b"\n")[2]
        self._ours.pop(name, None)
        self._read_to[name] = end
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
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return
            end = os.lseek(file.fileno(), 0, os.SEEK_CUR)  # of what was written, whoever else has appended
        if data:
            self._wrote(os.path.realpath(path), end - len(data), end)

    def _wrote(self, name: str, first: int, last: int) -> None:
        ours = self._ours.setdefault(name, [])
        if not first or (not ours and first == self._read_to.get(name)):
            ours.clear()
            self._read_to[name] = last
        elif ours and ours[-1][1] == first:
            ours[-1] = ours[-1][0], last
        else:
            ours.append((first, last))


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
