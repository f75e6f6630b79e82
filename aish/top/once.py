"""A frame as text, for --once, for terminals without escape sequences and for transcripts."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from aish.top.frame import frame
from aish.top.style import PLAIN, sgr

if TYPE_CHECKING:
    from aish.top.style import Line
    from aish.top.ui import Ui
    from aish.wire.reply import View


def screen_size() -> tuple[int, int]:
    """Columns and lines: COLUMNS and LINES, else the terminal's, else 80 by 24."""
    size = shutil.get_terminal_size((80, 24))
    return size.columns, size.lines


def text(view: View, ui: Ui, width: int, height: int, *, styled: bool = False) -> str:
    """The frame, its lines joined by newlines, without blanks at their ends; `styled` with SGR sequences."""
    drawn = frame(view, ui, width, height)
    if styled:
        return "\n".join(styled_line(line, ui.colour) for line in drawn)
    return "\n".join("".join(part for part, _ in line).rstrip() for line in drawn)


def styled_line(line: Line, colour: bool) -> str:
    """Every span switches to its style, and the line ends in the plain one."""
    return "".join(sgr(style, colour) + part for part, style in line) + sgr(PLAIN, colour)
