"""The client's requests: lines of a descriptor, read as they come. A line that is too long is dropped, and told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_BLOCK_BYTES: Final = 1 << 16


class Lines:
    """Bytes in, whole lines out; None stands for one that was too long. Pure."""

    def __init__(self, longest_bytes: int) -> None:
        self._longest = longest_bytes
        self._rest = bytearray()
        self._searched = 0
        self._dropping = False

    def add(self, data: bytes) -> None:
        self._rest += data

    def next(self) -> Iterator[bytes | None]:
        """Those that are complete."""
        while True:
            end = self._rest.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._rest)
                if self._dropping or len(self._rest) > self._longest:
                    if not self._dropping:
                        self._dropping = True
                        yield None
                    self._rest.clear()
                    self._searched = 0
                return
            line = bytes(self._rest[:end])
            del self._rest[: end + 1]
            self._searched = 0
            if self._dropping:
                self._dropping = False
            elif len(line) > self._longest:
                yield None
            elif line.strip():
                yield line

    def last(self) -> bytes | None:
        """What stands behind the last newline, at the end; None: nothing."""
        line = bytes(self._rest)
        self._rest.clear()
        return line if line.strip() and not self._dropping else None


class Inbox:
    def __init__(self, fd: int, longest_bytes: int) -> None:
        self.fd = fd
        self.ended = False
        self._lines = Lines(longest_bytes)

    def read(self) -> list[bytes | None]:
        """The lines that are there now; to be called when there is something to read. None: one was too long."""
        try:
            data = os.read(self.fd, _BLOCK_BYTES)
        except BlockingIOError:
            return []
        except OSError:  # a terminal that is gone
            data = b""
        self._lines.add(data)
        found = list(self._lines.next())
        if not data:
            self.ended = True
            last = self._lines.last()
            found += [] if last is None else [last]
        return found
