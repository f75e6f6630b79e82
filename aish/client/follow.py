"""Reading a growing log through its descriptor: what is there, then what comes, woken by inotify.

Its beginning may have been given back to the file system (a hole, where offsets stay): that is skipped, never shown.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import Self

_IN_MODIFY: Final = 0x2
_IN_CLOEXEC: Final = 0o2000000
_IN_NONBLOCK: Final = 0o4000
_GONE: Final = select.POLLERR | select.POLLHUP
CHUNK_BYTES: Final = 64 << 10
FALLBACK_MS: Final = 100
"""How often to look where inotify has no watch left (fs.inotify.max_user_watches)."""


class Growth:
    """Becomes readable (`fileno`) when a watched file grew. Without inotify `fileno` is -1."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(_IN_CLOEXEC | _IN_NONBLOCK)
        self.blind = self._fd < 0
        """Something grows without being reported: who waits has to look from time to time."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def fileno(self) -> int:
        return self._fd

    def watch(self, fd: int) -> bool:
        """Watch the file behind `fd`; False where the kernel has no watch left."""
        path = f"/proc/self/fd/{fd}".encode()
        seen = self._fd >= 0 and self._libc.inotify_add_watch(self._fd, path, _IN_MODIFY) >= 0
        self.blind = self.blind or not seen
        return seen

    def clear(self) -> None:
        """Forget what was reported until now: to be called before reading, so that nothing is missed."""
        try:
            while os.read(self._fd, 4096):
                pass
        except (BlockingIOError, OSError):
            pass


class Tail:
    """The bytes of a log from an offset on. It never blocks: an empty answer means 'nothing new yet'."""

    def __init__(self, fd: int, offset: int = 0) -> None:
        self.fd = fd
        self.offset = offset

    def read(self, end: int | None = None) -> bytes:
        """The next bytes, none of them at `end` or behind it."""
        while True:
            length = CHUNK_BYTES if end is None else min(CHUNK_BYTES, end - self.offset)
            if length <= 0:
                return b""
            data = os.pread(self.fd, length, self.offset)
            start = self.offset
            self.offset += len(data)
            if b"\0" not in data:
                return data
            # Asked after the reading: what was a hole by then is read as zeros, wholly or in part.
            hole = data_start(self.fd, start) - start
            if hole < len(data):
                return data[max(0, hole) :]
            self.offset = start + hole


def data_start(fd: int, offset: int) -> int:
    """The first offset from `offset` on that is not in a hole; the file's end where nothing follows."""
    size = os.fstat(fd).st_size
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return max(offset, size)
        return offset  # a file system without holes


def line_start(fd: int, offset: int, most_bytes: int) -> int:
    """The offset at which the line begins that goes on at `offset`; it is sought in the `most_bytes` before."""
    least = max(offset - most_bytes, data_start(fd, 0), 0)
    while offset > least:
        start = max(least, offset - CHUNK_BYTES)
        found = os.pread(fd, offset - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        offset = start
    return offset


def newlines(fd: int, start: int, end: int) -> int:
    """How many newlines there are between two offsets."""
    tail, count = Tail(fd, start), 0
    while data := tail.read(end):
        count += data.count(b"\n")
    return count


def last_lines(fd: int, count: int) -> int:
    """The offset at which the last `count` lines of a file begin. Reads backwards, in chunks."""
    end = os.fstat(fd).st_size
    if count == 0:
        return end
    offset, seen, least = end, 0, data_start(fd, 0)
    while offset > least:
        start = max(least, offset - CHUNK_BYTES)
        block = os.pread(fd, offset - start, start)
        position = len(block)
        while (position := block.rfind(b"\n", 0, position)) >= 0:
            if start + position == end - 1:
                continue  # the newline that ends the last line
            seen += 1
            if seen >= count:
                return start + position + 1
        offset = start
    return min(least, end)


def reader_left(fd: int = 1) -> bool:
    """Whether nobody reads any more what is written to `fd`: the other end of a pipe, socket or terminal is gone.

    Who follows something that may be silent for hours asks with `answered`: the next write alone would tell it.
    """
    poll = select.poll()
    poll.register(fd, 0)
    return any(events & _GONE for _, events in poll.poll(0))


def answered(source: int, reader: int = 1) -> bool:
    """Sleep until `source` is readable, or who reads `reader` has left: False."""
    poll = select.poll()
    poll.register(source, select.POLLIN)
    poll.register(reader, 0)  # errors and hang-ups are always told
    return not any(fd == reader and events & _GONE for fd, events in poll.poll())


def wait(growth: Growth, others: list[int], timeout_ms: int | None = None) -> list[int]:
    """Sleep until a watched file grew or one of `others` is readable; the readable ones of `others`."""
    poll = select.poll()
    if growth.fileno() >= 0:
        poll.register(growth.fileno(), select.POLLIN)
    if growth.blind:
        timeout_ms = FALLBACK_MS if timeout_ms is None else min(timeout_ms, FALLBACK_MS)
    for fd in others:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(timeout_ms) if fd != growth.fileno()]
