"""What the proxy answers in place of a host: a status, and why, in the first line, as many programs show no more."""

from __future__ import annotations

from typing import Final

_REASON_CHARS: Final = 200


class RefusedError(Exception):
    """`status` is HTTP's. The text says what happened, and what to do."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status

    def answer(self) -> bytes:
        text = str(self)
        line = "".join(c if c.isascii() and c.isprintable() else "?" for c in text)[:_REASON_CHARS]
        body = f"aish: {text}\n".encode("utf-8", "replace")
        known = 'Proxy-Authenticate: Basic realm="aish"\r\n' if self.status == 407 else ""
        head = f"HTTP/1.1 {self.status} {line}\r\n{known}Content-Type: text/plain; charset=utf-8\r\n"
        return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode("ascii") + body
