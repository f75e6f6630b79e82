"""A view and a person's choices to styled lines: the pure function behind the live screen, --once and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aish.top import gpus, panels
from aish.top.rows import index_of, related, rows
from aish.top.style import Span
from aish.top.table import table
from aish.top.text import clip, columns, to_ascii

if TYPE_CHECKING:
    from aish.top.rows import Row
    from aish.top.style import Line
    from aish.top.ui import Ui
    from aish.wire.reply import View

WIDE: Final = (120, 30)
"""From this width and height on, devices get boxes."""
_ASCII: Final = str.maketrans("├└│┌┐┘─→…", "+`|+++->~")


def frame(view: View, ui: Ui, width: int, height: int) -> list[Line]:
    """At most `height` lines of at most `width` columns; never fails, whatever the size or the view holds."""
    if width <= 0 or height <= 0:
        return []
    listed = rows(view, ui)
    chosen = index_of(listed, ui.selected)
    above = _above(view, ui, width, height)
    below = _below(listed[chosen] if listed else None, ui, width, height)
    room = max(height - len(above) - len(below), 0)
    if ui.help:
        middle = panels.helping(width)[:room]
    elif not listed:
        middle = panels.empty(ui, width)[:room]
    else:
        middle = table(view, listed, related(view), ui, width, room, chosen)
    if ui.interactive:
        middle += [()] * (room - len(middle))
    return [_bounded(line, ui, width) for line in (above + middle + below)[:height]]


def _above(view: View, ui: Ui, width: int, height: int) -> list[Line]:
    above = [panels.header(view, ui, width)]
    if height >= 8:
        boxed = width >= WIDE[0] and height >= WIDE[1] and gpus.box_lines(len(view.gpus), width) <= height // 2
        above += gpus.boxes(view, ui, width) if boxed else gpus.lines(view, ui, width, height // 3)
    if height >= 12:
        above += panels.figures(view, ui, width)
    if height >= 6:
        above += panels.alerts(view, width)
    return above


def _below(selected: Row | None, ui: Ui, width: int, height: int) -> list[Line]:
    if not ui.interactive or height < 4:
        return []
    if height < 18 or selected is None or ui.help:
        return [panels.last(ui, width)]
    return [*panels.detail(selected.process, width), panels.last(ui, width)]


def _bounded(line: Line, ui: Ui, width: int) -> Line:
    """A last bound: whatever a part drew, nothing leaves the screen, and an ASCII terminal gets ASCII."""
    if ui.ascii_only:
        line = tuple(Span(to_ascii(text.translate(_ASCII)), style) for text, style in line)
    if sum(columns(text) for text, _ in line) <= width:
        return line
    kept: list[Span] = []
    for text, style in line:
        piece = clip(text, width, "")
        kept.append(Span(piece, style))
        width -= columns(piece)
        if piece != text:
            break
    return tuple(kept)
