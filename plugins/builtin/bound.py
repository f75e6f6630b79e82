"""Texts that fit: the beginning and the end of a long one, and how much is missing between them. Pure."""

from __future__ import annotations

from typing import Final

MARK: Final = "\n[… {} characters are left out here …]\n"


def encodable(text: str) -> str:
    """`text` where it is UTF-8, else with U+FFFD for what is not: names of files, halves of characters. A `?` would
    mean something to a shell."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def bounded(text: str, chars: int) -> str:
    """`text`, or two thirds of `chars` of its beginning and a third of its end."""
    if len(text) <= chars:
        return text
    head, tail = chars * 2 // 3, chars // 3
    return text[:head] + MARK.format(f"{len(text) - head - tail:,}") + (text[-tail:] if tail else "")


class Tail:
    """Bytes that come in pieces, of which the first and the last are kept."""

    def __init__(self, bytes_max: int) -> None:
        self._half = max(1, bytes_max // 2)
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0

    def feed(self, piece: bytes) -> None:
        room = self._half - len(self._head)
        self._head += piece[:room]
        self._tail += piece[max(0, room) :]
        over = len(self._tail) - self._half
        if over > 0:
            del self._tail[:over]
            self._left_out += over

    def text(self) -> str:
        if not self._left_out:
            return (self._head + self._tail).decode("utf-8", "replace")
        mark = f"\n[… {self._left_out:,} bytes are left out here …]\n"
        return self._head.decode("utf-8", "replace") + mark + self._tail.decode("utf-8", "replace")
