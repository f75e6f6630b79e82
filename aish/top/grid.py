"""Frames as grids of cells, and the difference between two of them. Pure.

A cell is (text, style). A character of two columns is its cell followed by a cell with empty text, so that a row has
exactly as many cells as the terminal has columns.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.top.style import PLAIN, Style, sgr
from aish.top.text import clusters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aish.top.style import Line

Cell = tuple[str, Style]
Row = tuple[Cell, ...]
Grid = tuple[Row, ...]

BLANK: Final[Cell] = (" ", PLAIN)
_GAP: Final = 4
"""Unchanged cells between two changes that are cheaper to write again than to jump over."""
_DRAWN: Final = frozenset("─│┌┐└┘├┤┬┴┼▏▎▍▌▋▊▉█▁▂▃▄▅▆▇░▒▓·…→↑↓")
"""What frames draw themselves: East Asian width 'ambiguous', but one column in every terminal that we start in."""


class Run(NamedTuple):
    """Cells to write from `column` of `row` on, both from 0."""

    row: int
    column: int
    cells: Row


def grid(lines: Sequence[Line], width: int, height: int) -> Grid:
    """Exactly `height` rows of `width` cells: what is too long is cut, what is missing is blank."""
    rows = [_row(line, width) for line in lines[:height]]
    empty: Row = (BLANK,) * width
    return tuple(rows) + (empty,) * (height - len(rows))


@lru_cache(maxsize=512)
def _row(line: Line, width: int) -> Row:
    cells: list[Cell] = []
    for text, style in line:
        if text.isascii():
            cells += [(char, style) for char in text]
            continue
        for char, wide in clusters(text):
            if wide == 2:
                if len(cells) + 2 > width:
                    cells.append((" ", style))  # half a character cannot be shown
                else:
                    cells += [(char, style), ("", style)]
            else:
                cells.append((char, style))
    if len(cells) < width:
        cells += [BLANK] * (width - len(cells))
    return tuple(cells[:width])


def diff(old: Grid, new: Grid) -> list[Run]:
    """What to write over `old` to see `new`. Both have the same size; else everything of `new`."""
    if len(old) != len(new) or (old and len(old[0]) != len(new[0])):
        return [Run(number, 0, row) for number, row in enumerate(new)]
    runs = []
    for number, (before, after) in enumerate(zip(old, new, strict=True)):
        if before is not after and before != after:
            runs += _row_diff(number, before, after)
    return runs


def _row_diff(number: int, before: Row, after: Row) -> list[Run]:
    changed = [at for at, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    spans: list[tuple[int, int]] = []
    for at in changed:
        if spans and at - spans[-1][1] <= _GAP:
            spans[-1] = (spans[-1][0], at + 1)
        else:
            spans.append((at, at + 1))
    return [Run(number, *_bounds(after, start, end)) for start, end in spans]


def _bounds(row: Row, start: int, end: int) -> tuple[int, Row]:
    """Grow a span so that it cuts no character of two columns in half."""
    while start > 0 and row[start][0] == "":
        start -= 1
    while end < len(row) and row[end][0] == "":
        end += 1
    return start, row[start:end]


def apply(runs: Iterable[Run], old: Grid) -> Grid:
    """What a terminal that shows `old` shows after `runs`."""
    rows = [list(row) for row in old]
    for number, column, cells in runs:
        rows[number][column : column + len(cells)] = cells
    return tuple(tuple(row) for row in rows)


def encode(runs: Iterable[Run], *, colour: bool) -> str:
    """The escape sequences that write `runs`; they end in the plain style."""
    parts: list[str] = []
    style: Style | None = None
    for number, column, cells in runs:
        parts.append(f"\x1b[{number + 1};{column + 1}H")
        for at, (text, cell_style) in enumerate(cells, column + 1):
            if not text:
                continue
            if cell_style != style:
                parts.append(sgr(cell_style, colour))
                style = cell_style
            parts.append(text)
            if not text.isascii() and _uncertain(text):
                # The terminal may think it wider or narrower than we do: say where the next one goes.
                parts.append(f"\x1b[{number + 1};{at + (2 if _wide(text) else 1)}H")
    if style is not None and style != PLAIN:
        parts.append(sgr(PLAIN, colour))
    return "".join(parts)


@lru_cache(maxsize=4096)
def _uncertain(text: str) -> bool:
    """Whether terminals disagree on its width: wide, with marks, or ambiguous, and not drawn by ourselves."""
    if text in _DRAWN or "\u2800" <= text <= "\u28ff":
        return False
    return len(text) > 1 or unicodedata.east_asian_width(text) in "WFA" or unicodedata.category(text) in ("So", "Sk")


@lru_cache(maxsize=4096)
def _wide(text: str) -> bool:
    return clusters(text)[0][1] == 2
