"""A reply as it goes over the wire: status, headers, pieces of a body, and how both are framed. Pure.

Source of the framing: RFC 9112, 6 and 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

JSON: Final = "application/json"
SSE: Final = "text/event-stream"
_REASONS: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests", 500: "Server Error"}
Framing = Literal["length", "chunked", "close", "raw chunked"]
"""`close`: the body ends with the connection. `raw chunked`: the pieces are framed already, rightly or not."""
Cut = Literal["nowhere", "before the head", "in the head", "in the body"]


@dataclass(slots=True)
class Reply:
    pieces: Iterable[bytes]
    """Each is written on its own, and is a chunk where there are chunks."""
    content_type: str = JSON
    status: int = 200
    framing: Framing = "length"
    headers: list[tuple[str, str]] = field(default_factory=list)
    claimed_bytes: int | None = None
    """The length that the head tells, if not the right one."""
    raw_head: bytes | None = None
    """Goes out in place of status line and headers."""
    before_s: float = 0.0
    between_s: float = 0.0
    """Before each piece but the first."""
    cut: Cut = "nowhere"
    """Where the connection is closed. In the body: behind its last piece, which is not the end by its framing."""
    reset: bool = False
    """It is closed by RST."""
    version: str = "HTTP/1.1"
    extra: bytes = b""
    """Goes out behind the end of the reply."""
    late_s: float = 0.0
    """So long after the end."""
    closes: bool = False
    """The connection is closed behind the reply, and nobody was told."""

    @property
    def keeps(self) -> bool:
        """Whether the connection may be used again."""
        return self.cut == "nowhere" and self.framing != "close" and not self.closes and self.version == "HTTP/1.1"

    def head(self, body_bytes: int | None) -> bytes:
        """`body_bytes`: how long the body is; None: not known, or of no interest."""
        if self.raw_head is not None:
            return self.raw_head
        lines = [f"{self.version} {self.status} {_REASONS.get(self.status, 'Word')}"]
        lines += [f"Content-Type: {self.content_type}"] if self.content_type else []
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.framing in ("chunked", "raw chunked"):
            lines.append("Transfer-Encoding: chunked")
        elif self.framing == "length":
            told = self.claimed_bytes if self.claimed_bytes is not None else body_bytes
            lines.append(f"Content-Length: {told}")
        elif self.version == "HTTP/1.1":
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def framed(self) -> Iterator[bytes]:
        """The body as it is written. What ends it is the last piece, if it is to have an end."""
        if self.framing != "chunked":
            yield from self.pieces
        else:
            for piece in self.pieces:
                yield chunk(piece)
        if self.framing == "chunked" and self.cut == "nowhere":
            yield b"0\r\n\r\n"


def chunk(piece: bytes) -> bytes:
    """One chunk; of nothing there is none, for that would be the end."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


def encoded(name: str | None, data: bytes) -> bytes:
    """One event of a stream."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + data + b"\n\n"
