"""Reading a growing log through its descriptor: what is there, then what comes, woken by inotify."""

from __future__ import annotations

import ctypes
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
        return self._fd >= 0 and self._libc.inotify_add_watch(self._fd, path, _IN_MODIFY) >= 0

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

    def read(self) -> bytes:
        data = os.pread(self.fd, CHUNK_BYTES, self.offset)
        self.offset += len(data)
        return data


def last_lines(fd: int, count: int) -> int:
    """The offset at which the last `count` lines of a file begin. Reads backwards, in chunks."""
    end = os.fstat(fd).st_size
    if count == 0:
        return end
    offset, seen = end, 0
    while offset > 0:
        start = max(0, offset - CHUNK_BYTES)
        block = os.pread(fd, offset - start, start)
        position = len(block)
        while (position := block.rfind(b"\n", 0, position)) >= 0:
            if start + position == end - 1:
                continue  # the newline that ends the last line
            seen += 1
            if seen >= count:
                return start + position + 1
        offset = start
    return 0


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
    else:
        timeout_ms = FALLBACK_MS if timeout_ms is None else min(timeout_ms, FALLBACK_MS)
    for fd in others:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(timeout_ms) if fd != growth.fileno()]
