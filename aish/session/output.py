"""What a command writes to one of its streams: the beginning and the end for its result, all of it in a file where
that is not enough."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Final

    from aish.session.shelf import Shelf, ShelfFile

CHUNK_BYTES: Final = 1 << 16


class Excerpt:
    """The first and the last bytes of a stream, at most `limit` together. Pure."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit = limit_bytes
        self.total = 0
        self.head = bytearray()
        """All of it, as long as that is not more than the limit."""
        self.tail = bytearray()

    def add(self, data: bytes) -> None:
        self.total += len(data)
        if self.total <= self.limit:
            self.head += data
            return
        first = self.limit // 2
        if not self.tail:
            self.tail += self.head[first:]
            del self.head[first:]
        if len(self.head) < first:  # all of it came at once
            taken = first - len(self.head)
            self.head += data[:taken]
            data = data[taken:]
        self.tail += data[-(self.limit - first) :] if self.limit > first else b""
        if len(self.tail) > 2 * self.limit:
            self._trim()

    def _trim(self) -> None:
        del self.tail[: max(0, len(self.tail) - (self.limit - self.limit // 2))]

    @property
    def is_whole(self) -> bool:
        return self.total <= self.limit

    def shown(self) -> tuple[bytes, bytes, int]:
        """Beginning, end, and how many bytes between them are left out; cut where characters begin."""
        if self.is_whole:
            return bytes(self.head), b"", 0
        self._trim()
        head, tail = _without_broken_end(bytes(self.head)), _without_broken_begin(bytes(self.tail))
        return head, tail, self.total - len(head) - len(tail)


def _without_broken_end(data: bytes) -> bytes:
    """Without the bytes of a UTF-8 character that is cut off."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
        return data if back >= length else data[:-back]
    return data


def _without_broken_begin(data: bytes) -> bytes:
    """Without the rest of a UTF-8 character whose beginning is cut off."""
    at = 0
    while at < min(3, len(data)) and data[at] & 0xC0 == 0x80:
        at += 1
    return data[at:]


class Told(NamedTuple):
    """A stream in a result."""

    text: str
    size_bytes: int
    omitted_bytes: int
    lossy: bool
    """It is no UTF-8: what is not, is U+FFFD in `text`."""
    file: str | None
    """What is more than `text`, or exacter; None: nothing is."""


class Output:
    """One stream of one command, from the pipe that its processes write to. It goes on for as long as one of them
    has that open: what comes after the result is in the file of this command, and nowhere else."""

    def __init__(self, name: str, limit_bytes: int, shelf: Shelf) -> None:
        self.name = name
        self.read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.read_fd, False)
        self._excerpt: Excerpt | None = Excerpt(limit_bytes)
        self._shelf = shelf
        self._file: ShelfFile | None = None

    @property
    def is_open(self) -> bool:
        """Somebody may write to it."""
        return self.read_fd >= 0

    def handed_over(self) -> None:
        """The shell has its end: ours would hide that everybody has closed it."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    def read(self) -> bytes | None:
        """What is there, up to a chunk; b"" at the end, when it closes by itself; None: nothing now."""
        if self.read_fd < 0:
            return b""
        try:
            data = os.read(self.read_fd, CHUNK_BYTES)
        except BlockingIOError:
            return None
        if data:
            self._add(data)
        else:
            self.close()
        return data

    def waiting_bytes(self) -> int:
        """What is in the pipe now."""
        if self.read_fd < 0:
            return 0
        (count,) = struct.unpack("i", fcntl.ioctl(self.read_fd, termios.FIONREAD, b"\0\0\0\0"))
        return int(count)

    def _add(self, data: bytes) -> None:
        excerpt = self._excerpt
        if excerpt is not None:
            if self._file is None and excerpt.total + len(data) > excerpt.limit:
                self._spill()
            excerpt.add(data)
        if self._file is not None:
            self._file.write(data)

    def _spill(self) -> None:
        """From here on there is a file."""
        assert self._excerpt is not None
        self._file = self._shelf.file(self.name)
        self._file.write(bytes(self._excerpt.head))

    def told(self) -> Told:
        """For the result. From here on only the file goes on."""
        excerpt = self._excerpt
        assert excerpt is not None, "a command has one result"
        head, tail, omitted = excerpt.shown()
        lossy = not (_is_text(head) and _is_text(tail))
        if self._file is None and (lossy or self.is_open):
            self._spill()
        path = self._file.path if self._file is not None else None
        text = head.decode(errors="replace")
        if omitted:
            where = f"; all of it: {path}" if path else ""
            end = tail.decode(errors="replace")
            text += (
                f"{'' if text.endswith(chr(10)) or not text else chr(10)}[… {omitted} bytes left out{where} …]\n{end}"
            )
        self._excerpt = None
        return Told(text, excerpt.total, omitted, lossy, path)

    def close(self) -> None:
        """Whoever still writes gets SIGPIPE."""
        self.handed_over()
        if self.read_fd >= 0:
            os.close(self.read_fd)
            self.read_fd = -1
        if self._file is not None:
            self._file.close()


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
