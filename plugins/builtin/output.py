"""What a command has printed so far, told while it runs: who looks sees it, and it is kept whatever becomes of the
agent before the command has ended."""

from __future__ import annotations

import asyncio
import codecs
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_S: Final = 1.0
"""A command that is over by then has a result, and nothing else."""
MOST_BYTES: Final = 64 << 10
_FULL: Final = "[more of it is in the result]\n"


class Output:
    """`tell` gets whole lines, and what stands alone when it is over."""

    def __init__(self, tell: Callable[[str], None] | None) -> None:
        self._tell = tell
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._room = MOST_BYTES
        self._timer: asyncio.TimerHandle | None = None
        self._told = False

    def feed(self, piece: bytes) -> None:
        if self._tell is None or self._room <= 0:
            return
        fits, self._room = piece[: self._room], self._room - len(piece)
        self._text += self._decoder.decode(fits)
        if self._room <= 0:
            self._text += self._decoder.decode(b"", final=True) + f"\n{_FULL}"
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._look)

    def _look(self) -> None:
        self._timer = None
        whole, line_end, rest = self._text.rpartition("\n")
        if line_end:
            self._text = rest
            self._say(whole + line_end)

    def end(self, *, whole: bool) -> None:
        """`whole`: it has a result; what was told is told to its end then, and else nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        text = self._text + self._decoder.decode(b"", final=self._room > 0)
        self._text = ""
        if text and (self._told or not whole):
            self._say(text)

    def _say(self, text: str) -> None:
        self._told = True
        if self._tell is not None:
            self._tell(text)
