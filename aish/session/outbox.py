"""What goes to the client: lines of JSON, written as fast as it reads and never faster."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from typing import Final

_PIECE_BYTES: Final = 4096
"""What a pipe takes at once where it takes anything (PIPE_BUF): the descriptor may be others' too, and must not be
made non-blocking."""


def _text(value: Any) -> Any:
    """With U+FFFD for what is no UTF-8: the name of a folder may be any bytes."""
    match value:
        case str():
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        case dict():
            return {name: _text(each) for name, each in value.items()}
        case list():
            return [_text(each) for each in value]
        case _:
            return value


class Outbox:
    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.gone = False
        """Nobody will read any more."""
        self.unread_bytes = 0
        self.moved_s = time.monotonic()
        """When something was taken last, or nothing waited."""
        self._pieces: deque[bytes] = deque()
        self._at = 0

    def put(self, answer: dict[str, Any]) -> None:
        if self.gone:
            return
        try:
            line = msgspec.json.encode(answer) + b"\n"
        except UnicodeEncodeError:
            line = msgspec.json.encode(_text(answer)) + b"\n"
        if not self._pieces:
            self.moved_s = time.monotonic()
        self._pieces.append(line)
        self.unread_bytes += len(line)

    def write(self) -> None:
        """A piece; to be called when it can be written."""
        if not self._pieces:
            return
        first = self._pieces[0]
        try:
            written = os.write(self.fd, first[self._at : self._at + _PIECE_BYTES])
        except BlockingIOError:
            return
        except OSError:
            self.lose()
            return
        self.moved_s = time.monotonic()
        self._at += written
        self.unread_bytes -= written
        if self._at == len(first):
            self._pieces.popleft()
            self._at = 0

    def lose(self) -> None:
        """The client is gone."""
        self.gone = True
        self._pieces.clear()
        self.unread_bytes = 0
