"""Who was born and who ended: one memfd that the keeper, the holder and every child before its exec append to.

Why a shared file and not messages: an append is over when write(2) returns, needs nobody to be awake at the other
end, and no queue can be full. Whoever survives reads it. Every append is one write(2) on an O_APPEND memfd, which
the kernel does under the inode's lock, so lines never mix; a line starts and ends with a newline, so that one
torn by SIGKILL at a page boundary spoils nothing but itself (what a torn line said is then simply not so yet: an
unborn child, an unreaped zombie, an exit to be acknowledged again).

Sealing (F_SEAL_WRITE, also under that lock) is the gate of a take-over: after it returns, every announcement is
either in the file or will fail.

Old lines are given back by punching a hole, never by a new file: nobody has to be told, offsets stay.
"""

from __future__ import annotations

import fcntl
import json
import os

from . import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

COMPACT_BYTES = 512 * 1024  # at least this much old text before the table is said again
CHUNK_BYTES = 16 * 1024  # what is parsed at a time stays with the process: its memory is not given back


class Child:
    """One id: alive while `exit` is None, else waiting to be acknowledged. `start` (ticks) None: not read yet."""

    __slots__ = ("exit", "id", "pid", "said_bye", "serial", "start")

    def __init__(self, id: str, pid: int, start: int | None = None) -> None:
        self.id = id
        self.pid = pid
        self.start = start
        self.exit: dict[str, Any] | None = None
        self.said_bye = False  # only ever of the daemon
        self.serial = 0  # the holder's: the order that `list` pages in


class Journal:
    """The memfd. Every method may raise OSError: out of memory, or PermissionError once it is sealed."""

    __slots__ = ("fd", "kept", "punched")

    def __init__(self, fd: int | None = None) -> None:
        """A new one, or the one that `fd` is."""
        if fd is None:
            fd = os.memfd_create("aish-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
        self.fd = fd
        self.punched = 0  # bytes given back
        self.kept = 0  # bytes that the last rewrite took

    def append(self, *lines: bytes) -> None:
        """Append whole lines (made by the functions below) in one write."""
        data = b"".join(lines)
        if os.write(self.fd, data) != len(data):
            raise OSError(28, "the journal's memory is full")

    def seal(self) -> None:
        """From here on nobody can append."""
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)

    def read(self, offset: int = 0, most: int | None = None, only: str = "") -> tuple[list[dict[str, Any]], int]:
        """The lines from `offset` on, and the offset behind the last whole one; of some `most` bytes at a time, more
        where one line is longer. `only`: those that tell of this."""
        size = whole = os.fstat(self.fd).st_size
        try:
            offset = os.lseek(self.fd, offset, os.SEEK_DATA)  # skip the hole
        except OSError:  # ENXIO: nothing but hole
            return [], size
        if most is not None:
            size = min(size, offset + most)
        data, end = b"", 0
        while not end and offset + len(data) < whole:
            if offset + len(data) >= size:
                size = min(whole, size + (most or 0))
            data += os.pread(self.fd, size - offset - len(data), offset + len(data))
            end = data.rfind(b"\n") + 1 if offset + len(data) >= size else 0
        lines = []
        begins = b'{"is":"%s"' % only.encode() if only else b""
        for text in data[:end].split(b"\n"):
            line = _parse(text) if text.lstrip(b"\0").startswith(begins) else None
            if line is not None:
                lines.append(line)
        return lines, offset + end

    def rewrite(self, children: Iterable[Child], before: int) -> None:
        """Say the whole table again, then give back all text before `before`, which the caller has read."""
        size = self.size()
        self.append(*[line for child in children for line in restate(child)], b"\n")
        self.kept = self.size() - size
        if kernel.punch(self.fd, before):
            self.punched = before

    def size(self) -> int:
        """The offset at which the next line will be."""
        return os.fstat(self.fd).st_size

    def grown(self) -> bool:
        """Whether it may be time to rewrite: much more text than the last rewrite left."""
        return self.worth(self.size())

    def worth(self, before: int) -> bool:
        """Whether a rewrite that gives back the text before `before` gains enough for its price."""
        return before - self.punched > COMPACT_BYTES + 2 * self.kept

    def close(self) -> None:
        """Drop this process's copy."""
        os.close(self.fd)


def born_prefix(id: str) -> bytes:
    """The line of a birth up to the pid, which only the child can add: `prefix + b"%d}\\n" % os.getpid()`."""
    return b'\n{"is":"born","id":%s,"pid":' % json.dumps(id).encode()


def failed_line(id: str, pid: int) -> bytes:
    """The child announced itself, but its exec failed: it never was."""
    return _line({"is": "failed", "id": id, "pid": pid})


def exit_line(record: dict[str, Any], *, reaped: bool = True) -> bytes:
    """An exit event's fields. Said twice: before the zombie is reaped, and after, when its usage is known."""
    return _line({"is": "exit", "exit": record, "reaped": reaped})


def ack_line(ids: list[str]) -> bytes:
    """These exits were acknowledged: forget the ids."""
    return _line({"is": "ack", "ids": ids})


def bye_line(id: str) -> bytes:
    """The daemon said bye."""
    return _line({"is": "bye", "id": id})


def restate(child: Child) -> list[bytes]:
    """The lines that say all that is known of a child."""
    lines = [_line({"is": "born", "id": child.id, "pid": child.pid, "start": child.start})]
    if child.said_bye:
        lines.append(bye_line(child.id))
    if child.exit is not None:
        lines.append(exit_line(child.exit))
    return lines


def replay(lines: Iterable[dict[str, Any]]) -> dict[str, Child]:
    """The table that the lines tell of, in order of birth. Pure. Saying a thing twice changes nothing."""
    children: dict[str, Child] = {}
    for line in lines:
        match line["is"]:
            case "born":
                _born(children, line["id"], line["pid"], line.get("start"))
            case "failed":
                child = children.get(line["id"])
                if child is not None and child.pid == line["pid"]:
                    del children[child.id]
            case "exit":
                record = line["exit"]
                child = children.get(record["id"])
                if child is not None and child.pid == record["pid"]:
                    child.exit = record
                    child.start = child.start or record["start_time"]
            case "bye":
                if line["id"] in children:
                    children[line["id"]].said_bye = True
            case "ack":
                for id in line["ids"]:
                    children.pop(id, None)
            case _:
                continue
    return children


def _born(children: dict[str, Child], id: str, pid: int, start: int | None) -> None:
    known = children.get(id)
    if known is None or known.pid != pid:
        children[id] = Child(id, pid, start)
    elif known.start is None:
        known.start = start


def _line(fields: dict[str, Any]) -> bytes:
    return b"\n" + json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def _parse(text: bytes) -> dict[str, Any] | None:
    """A line, or None for an empty or torn one."""
    text = text.lstrip(b"\0")
    if not text.startswith(b"{") or not text.endswith(b"}"):
        return None
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
