"""A frame as an SVG picture: no terminal, no font files, the same bytes for the same view. Pure."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final

from aish.top.bars import EIGHTHS, SPARKS
from aish.top.frame import frame
from aish.top.grid import grid

if TYPE_CHECKING:
    from aish.top.grid import Row
    from aish.top.style import Style
    from aish.top.ui import Ui
    from aish.wire.reply import View

CELL_WIDTH: Final = 8.4
CELL_HEIGHT: Final = 18
MARGIN: Final = 14
BAR_HEIGHT: Final = 30
"""Of the window's title bar."""
FOREGROUND: Final = "#d8dee9"
BACKGROUND: Final = "#1b2028"
PALETTE: Final = {
    "black": "#1b2028",
    "red": "#f07178",
    "green": "#a5cc7a",
    "yellow": "#ffcb6b",
    "blue": "#82aaff",
    "magenta": "#c792ea",
    "cyan": "#7fd4e4",
    "white": "#e6edf3",
    "grey": "#7a8699",
}
_EIGHTHS: Final = {char: n / 8 for n, char in enumerate(EIGHTHS[:-1]) if n}
_FULL: Final = re.compile(EIGHTHS[-1] + "+")
_SPARKS: Final = {char: n / 8 for n, char in enumerate(SPARKS[:-1], 1)}
_DRAWN: Final = frozenset(EIGHTHS[1:]) | frozenset(SPARKS) | {"▕", "░"}
_BLANK: Final = frozenset(" \u2800") | _DRAWN
_FONT: Final = "ui-monospace, 'DejaVu Sans Mono', 'Cascadia Mono', Menlo, Consolas, monospace"


def picture(view: View, ui: Ui, width: int, height: int, title: str = "aish top") -> str:
    """The SVG text of the frame for a terminal of `width` columns and `height` lines."""
    cells = grid(frame(view, ui, width, height), width, height)
    pixel_width = round(width * CELL_WIDTH + 2 * MARGIN)
    pixel_height = height * CELL_HEIGHT + BAR_HEIGHT + MARGIN
    size = f'viewBox="0 0 {pixel_width} {pixel_height}" width="{pixel_width}" height="{pixel_height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">',
        f"<style>text{{font:14px {_FONT}}}</style>",
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
        *(f'<circle cx="{18 + 18 * n}" cy="16" r="5" fill="#4c566a"/>' for n in range(3)),
        f'<text x="{pixel_width / 2:g}" y="20" text-anchor="middle" fill="{PALETTE["grey"]}">{escape(title)}</text>',
    ]
    for number, row in enumerate(cells):
        top = BAR_HEIGHT + number * CELL_HEIGHT
        parts += _backs(row, top) + _texts(row, top)
    parts.append("</svg>\n")
    return "\n".join(parts)


def _backs(row: Row, top: int) -> list[str]:
    """Backgrounds, then the characters that are blocks: drawn as rectangles, they meet whatever font there is."""
    rects = []
    for start, end in _runs(row):
        colour = _behind(row[start][1])
        if colour is not None:
            rects.append(_rect(start, top, colour, width=end - start))
    for start, end in _runs(row):
        full = "".join(char or " " for char, _ in row[start:end])
        for stretch in _FULL.finditer(full):
            rects.append(_rect(start + stretch.start(), top, _front(row[start][1]), width=len(stretch[0])))
    for at, (char, style) in enumerate(row):
        if char in _EIGHTHS:
            rects.append(_rect(at, top, _front(style), width=_EIGHTHS[char]))
        elif char in _SPARKS:
            rects.append(_rect(at, top, _front(style), height=_SPARKS[char], opacity=_opacity(style)))
        elif char == "▕":
            rects.append(_rect(at + 7 / 8, top, _front(style), width=1 / 8, opacity=_opacity(style)))
        elif char == "░":
            rects.append(_rect(at, top, _front(style), opacity=0.35))
    return rects


def _texts(row: Row, top: int) -> list[str]:
    """Words: split at two blanks, since not every viewer keeps runs of blanks."""
    texts = []
    for start, end in _runs(row):
        at = start
        while at < end:
            if row[at][0] == " ":
                at += 1
                continue
            stop = at
            while stop < end and not _gap(row, stop, end):
                stop += 1
            if stop > at:
                texts.append(_text(row, at, stop, top))
            at = max(stop, at + 1)
    return texts


def _gap(row: Row, at: int, end: int) -> bool:
    """A block, or a blank with another blank (or the end) before or after it."""
    char = row[at][0]
    if char in _DRAWN:
        return True
    return char == " " and (at + 1 >= end or row[at + 1][0] in _BLANK or row[at - 1][0] in _BLANK)


def _text(row: Row, start: int, stop: int, top: int) -> str:
    """`textLength` holds the columns in place whatever font the viewer has."""
    style = row[start][1]
    looks = f'fill="{_front(style)}"'
    looks += ' font-weight="bold"' if style.bold else ""
    looks += f' opacity="{_opacity(style)}"' if style.dim else ""
    x, length = MARGIN + start * CELL_WIDTH, (stop - start) * CELL_WIDTH
    text = escape("".join(char for char, _ in row[start:stop]))
    return f'<text x="{x:.1f}" y="{top + 13}" textLength="{length:.1f}" {looks}>{text}</text>'


def _rect(
    column: float, top: int, colour: str, *, width: float = 1.0, height: float = 1.0, opacity: float = 1.0
) -> str:
    """Of `width` columns, and `height` of a line from below."""
    x, y = MARGIN + column * CELL_WIDTH, top + CELL_HEIGHT * (1 - height)
    faint = f' opacity="{opacity}"' if opacity < 1 else ""
    return (
        f'<rect x="{x:.2f}" y="{y:g}" width="{width * CELL_WIDTH:.2f}" '
        f'height="{CELL_HEIGHT * height:g}" fill="{colour}"{faint}/>'
    )


def _runs(row: Row) -> list[tuple[int, int]]:
    """Stretches of one style: [start, end)."""
    runs: list[tuple[int, int]] = []
    for at, (_, style) in enumerate(row):
        if runs and row[runs[-1][0]][1] == style:
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    return runs


def _front(style: Style) -> str:
    if style.reverse:
        return PALETTE.get(style.back, BACKGROUND)
    return PALETTE.get(style.fore, FOREGROUND)


def _behind(style: Style) -> str | None:
    """None: the background of everything."""
    if style.reverse:
        return PALETTE.get(style.fore, FOREGROUND)
    return PALETTE.get(style.back)


def _opacity(style: Style) -> float:
    return 0.6 if style.dim else 1.0
