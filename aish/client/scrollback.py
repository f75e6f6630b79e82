"""What a terminal shows when it comes to a process that has been running: the last lines of its log.

Of a full-screen program, lines of its log are no lines of its screen: what it drew since it took the alternate screen
is shown instead, and whoever may write has it draw once more.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from aish.client import follow
from aish.client.screen import Screen, without_questions

LOOKED_BYTES: Final = 4 << 20
"""How far back modes are looked for. What was set before is not known."""
DRAWN_BYTES: Final = 256 << 10
_TAKEN: Final = (b"\x1b[?1049h", b"\x1b[?1047h", b"\x1b[?47h")
_GIVEN_BACK: Final = (b"\x1b[?1049l", b"\x1b[?1047l", b"\x1b[?47l")


class Scrollback(NamedTuple):
    shown: bytes
    offset: int
    """Where the log goes on."""
    screen: Screen
    """After all of it."""


def scrollback(fd: int, lines: int) -> Scrollback:
    """The last `lines` lines of the log behind `fd`, with the modes that the program had set."""
    offset = follow.last_lines(fd, lines)
    end = max(offset, os.fstat(fd).st_size)
    first = min(offset, max(0, end - LOOKED_BYTES))
    data = _read(fd, first, end)
    return arranged(data, offset - first, end=first + len(data))


def arranged(data: bytes, at: int, *, end: int) -> Scrollback:
    """From the end of a log, of which the lines wanted begin at `at`. Pure."""
    whole = Screen()
    whole.feed(data)
    if whole.full:
        at = max(len(data) - DRAWN_BYTES, *(data.rfind(mark) for mark in _TAKEN), 0)
    else:
        at = max(at, *(data.rfind(mark) + len(mark) for mark in _GIVEN_BACK if mark in data[at:]), 0)
    screen = Screen()
    screen.feed(data[:at])
    return Scrollback(screen.enter() + without_questions(data[at:]), end, whole)


def _read(fd: int, offset: int, end: int) -> bytes:
    pieces = []
    while offset < end and (piece := os.pread(fd, end - offset, offset)):
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)
