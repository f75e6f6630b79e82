"""Server-sent events: bytes in, the data of whole events out. Pure and bounded.

After https://html.spec.whatwg.org/multipage/server-sent-events.html: lines end in LF, CR or CRLF, an empty line ends
an event, `data` lines are joined by LF, what the stream's end leaves unfinished is dropped. Only data matters here:
`event`, `id` and `retry` are ignored, as are comments (a gateway that holds a request sends them).
"""

from __future__ import annotations

from aish.errors import UpstreamError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

EVENT_BYTES_MAX: Final = 4 << 20


class Decoder:
    """Feed it the stream in pieces of any size."""

    __slots__ = ("_after_cr", "_buffer", "_data", "_data_bytes", "_first", "_scanned")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0  # so many bytes of the buffer hold no line end: not searched twice
        self._after_cr = False
        self._first = True
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, chunk: bytes) -> list[str]:
        """The data of the events that `chunk` completes. Raises UpstreamError when one grows out of bounds."""
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        self._buffer += chunk
        events: list[str] = []
        for line in self._lines():
            if line:
                self._field(line)
            elif self._data:
                events.append(b"\n".join(self._data).decode("utf-8", "replace"))
                self._data, self._data_bytes = [], 0
        if len(self._buffer) + self._data_bytes > EVENT_BYTES_MAX:
            raise UpstreamError(f"the model server sent an event of more than {EVENT_BYTES_MAX:,} bytes")
        return events

    def _lines(self) -> list[bytes]:
        buffer, lines, start = self._buffer, [], 0
        search = self._scanned
        while True:
            ends = [at for at in (buffer.find(b"\n", search), buffer.find(b"\r", search)) if at >= 0]
            if not ends:
                break
            end = min(ends)
            lines.append(bytes(buffer[start:end]))
            start = end + 1
            if buffer[end] == 0x0D:
                if start == len(buffer):
                    self._after_cr = True  # the LF of a CRLF may come with the next piece
                elif buffer[start] == 0x0A:
                    start += 1
            search = start
        del buffer[:start]
        self._scanned = len(buffer)
        return lines

    def _field(self, line: bytes) -> None:
        if self._first:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._first = False
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            self._data_bytes += len(value) + 1
