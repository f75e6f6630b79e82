"""Bytes that come in pieces, as whole lines of text; of one that is too long the beginning. Pure."""

from __future__ import annotations

from typing import Final

LINE_BYTES: Final = 16 << 20


class Splitting:
    """What is not UTF-8 is replaced."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that are whole now."""
        found: list[str] = []
        *ended, rest = data.split(b"\n")
        for piece in ended:
            if not self._skipping:
                found.append((bytes(self._buffer) + piece)[:LINE_BYTES].decode("utf-8", "replace"))
            self._skipping = False
            self._buffer.clear()
        if not self._skipping:
            self._buffer += rest
            if len(self._buffer) > LINE_BYTES:
                found.append(self._buffer[:LINE_BYTES].decode("utf-8", "replace"))
                self._buffer.clear()
                self._skipping = True
        return found

    def rest(self) -> list[str]:
        """What came last and had no end, if there is something."""
        text = b"" if self._skipping else bytes(self._buffer)
        self._buffer.clear()
        return [text.decode("utf-8", "replace")] if text else []
