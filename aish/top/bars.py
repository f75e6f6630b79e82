"""Bars, sparklines and dotted graphs out of characters. Pure; unknown values leave a gap, never a zero."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.top.style import PLAIN, PROMISED, Span, Style
from aish.top.text import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.top.style import Line

EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
SPARKS: Final = "▁▂▃▄▅▆▇█"
ASCII_SPARKS: Final = "_.-~=+*#"
_BRAILLE_LEFT: Final = (0x00, 0x40, 0x44, 0x46, 0x47)
_BRAILLE_RIGHT: Final = (0x00, 0x80, 0xA0, 0xB0, 0xB8)


_FREE: Final = Span(" ")


class Part(NamedTuple):
    """One owner's share of a bar. The first of `labels` that fits is written into it, else none."""

    amount: float
    style: Style
    labels: tuple[str, ...] = ()
    shade: bool = False
    """Drawn lightly: promised, but not taken yet."""


def bar(parts: Sequence[Part], total: float, width: int, *, ascii_only: bool = False, mono: bool = False) -> Line:
    """A bar of `width` cells for `total`; what the parts leave is free. Parts end at an eighth of a cell.

    Without colours (`mono`) neighbours are told apart by a line between them.
    """
    if width <= 0:
        return ()
    edges = _edges(parts, total, width)
    cells = _cells(parts, edges, width, ascii_only=ascii_only)
    _separate(cells, parts, edges, ascii_only=ascii_only, mono=mono)
    _label(cells, parts, edges, mono=mono)
    return joined(cells)


def _edges(parts: Sequence[Part], total: float, width: int) -> list[int]:
    """Where each part ends, in eighths of a cell. A part that is there at all takes at least an eighth."""
    edges: list[int] = []
    so_far, last = 0.0, 0
    for part in parts:
        so_far += max(part.amount, 0.0)
        eighths = round(min(so_far / total, 1.0) * width * 8) if total > 0 else 0
        if part.amount > 0:
            eighths = max(eighths, last + 1)
        last = min(eighths, width * 8)
        edges.append(last)
    return edges


def _cells(parts: Sequence[Part], edges: Sequence[int], width: int, *, ascii_only: bool) -> list[Span]:
    """Whole cells by stretches, and one by one only the cells in which a part ends."""
    cells = [_FREE] * width
    start = 0
    for edge, part in zip(edges, parts, strict=True):
        first, last = -(-start // 8), edge // 8
        if last > first:
            full = ("." if part.shade else "#") if ascii_only else ("░" if part.shade else "█")
            cells[first:last] = [Span(full, part.style)] * (last - first)
        start = edge
    for at in {edge // 8 for edge in edges if edge % 8}:
        cells[at] = _cell(parts, edges, at, ascii_only=ascii_only)
    return cells


def _cell(parts: Sequence[Part], edges: Sequence[int], at: int, *, ascii_only: bool) -> Span:
    """The cell from eighth 8*at on: one owner, or the first of two with the second as background."""
    start, end = at * 8, at * 8 + 8
    inside = [
        (min(edge, end) - max(before, start), part)
        for before, edge, part in zip([0, *edges], edges, parts, strict=False)
        if edge > start and before < end and edge > before
    ]
    if not inside:
        return Span(" ")
    taken = sum(eighths for eighths, _ in inside)
    eighths, part = max(inside, key=lambda piece: piece[0]) if len(inside) > 2 else inside[0]
    if ascii_only:
        return Span(("." if part.shade else "#") if taken >= 4 else " ", part.style)
    if part.shade:
        return Span("░" if taken >= 4 else " ", part.style)
    if len(inside) == 1:
        return Span(EIGHTHS[eighths], part.style)
    second = inside[1][1]
    if second.shade or eighths == 8:
        return Span(EIGHTHS[eighths] if eighths < 8 else "█", part.style)
    return Span(EIGHTHS[eighths], Style(fore=part.style.fore, back=second.style.fore))


def _separate(
    cells: list[Span], parts: Sequence[Part], edges: Sequence[int], *, ascii_only: bool, mono: bool
) -> None:
    if not mono:
        return
    for edge, part, following in zip(edges, parts, parts[1:], strict=False):
        at = edge // 8
        if part.amount > 0 and following.amount > 0 and not following.shade and 0 < at < len(cells):
            cells[at] = Span("|" if ascii_only else "│")


def _label(cells: list[Span], parts: Sequence[Part], edges: Sequence[int], *, mono: bool) -> None:
    start = 0
    for edge, part in zip(edges, parts, strict=True):
        first, last = -(-start // 8), edge // 8
        if mono and first > 0:
            first += 1  # after the line
        start = edge
        room = last - first - 1
        text = next((label for label in part.labels if columns(label) == len(label) <= room), "")
        if not text:
            continue
        style = PLAIN if mono or part.shade else Style(fore="black", back=part.style.fore)
        for at, char in enumerate(text + " ", first):
            cells[at] = Span(char, style)


def joined(cells: Sequence[Span]) -> Line:
    """Neighbours of one style as one span."""
    made: list[Span] = []
    start = 0
    for at in range(1, len(cells) + 1):
        if at < len(cells) and (cells[at] is cells[start] or cells[at].style == cells[start].style):
            continue
        made.append(Span("".join([cell.text for cell in cells[start:at]]), cells[start].style))
        start = at
    return tuple(made)


def spark(values: Sequence[float | None], width: int, top: float | None = None, *, ascii_only: bool = False) -> str:
    """The last `width` values as blocks, the newest on the right; the scale ends at `top` or the largest."""
    shown = [value if value is not None and math.isfinite(value) else None for value in values[-width:]]
    known = [value for value in shown if value is not None]
    highest = top if top is not None else max(known, default=0.0)
    glyphs = ASCII_SPARKS if ascii_only else SPARKS
    line = "".join(
        " "
        if value is None
        else glyphs[min(max(int(value / highest * len(glyphs)), 0), len(glyphs) - 1)]
        if highest > 0
        else glyphs[0]
        for value in shown
    )
    return line.rjust(width)


def dots(
    values: Sequence[float | None], width: int, height: int, top: float, *, ascii_only: bool = False
) -> list[str]:
    """A filled graph of Braille dots, two values a column, four steps a row; the newest on the right, top row first.

    A value above 0 shows at least one dot.
    """
    if ascii_only:
        return [" " * width] * (height - 1) + [spark(values, width, top, ascii_only=True)]
    newest = values[-2 * width :]
    shown = [*(None for _ in range(2 * width - len(newest))), *newest]
    levels = [_level(value, top, 4 * height) for value in shown]
    rows = []
    for row in range(height - 1, -1, -1):
        base = 4 * row
        rows.append(
            "".join(
                chr(
                    0x2800
                    + _BRAILLE_LEFT[min(max(levels[at] - base, 0), 4)]
                    + _BRAILLE_RIGHT[min(max(levels[at + 1] - base, 0), 4)]
                )
                for at in range(0, 2 * width, 2)
            )
        )
    return rows


def _level(value: float | None, top: float, steps: int) -> int:
    if value is None or not math.isfinite(value) or value <= 0 or top <= 0:
        return 0
    return max(1, min(round(value / top * steps), steps))


def shades(promised: float) -> Part:
    """The part of a bar that is promised and not taken."""
    return Part(promised, PROMISED, shade=True)
