"""A prompt is drawn once: prompt_toolkit would draw it anew when the line is taken, and a program that waits for a
prompt would take that for the next one.

What nobody could have seen grow is not painted either: a prompt is written as it is, and a line that comes as fast
as only a program types is shown as a terminal would show it. prompt_toolkit then only learns what there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.data_structures import Point
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.layout.containers import Window
from prompt_toolkit.layout.screen import Char
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.renderer import Renderer
from prompt_toolkit.utils import get_cwidth, to_str

from aish.shell.paper import line_end
from aish.shell.typewriter import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.application import Application
    from prompt_toolkit.data_structures import Size
    from prompt_toolkit.layout import Layout
    from prompt_toolkit.layout.screen import Screen, WritePosition


_ABORTS = "class:aborting"
"""The style of what Ctrl-C leaves behind."""
_TAKES = ("", "class:accepted")
"""That of a line which is taken."""
_AS_EVER = "\x1b[0m\x1b[?25h"
"""Whatever a program has left: no colours, and a cursor that is seen."""


class _Still(Window):
    """A window whose last line has no style of its own: with a second line, the first one, and the prompt in it,
    would be drawn anew."""

    def _apply_style(self, new_screen: Screen, write_position: WritePosition, parent_style: str) -> None:
        new_screen.fill_area(write_position, style=f"{parent_style} {to_str(self.style)}", after=False)


def draw_once(app: Application[str], prompts: Callable[[int], str | None]) -> None:
    """Have an application draw its prompt no more than once. `prompts` gives the prompt of a row, as it is written;
    None for one that prompt_toolkit has to draw."""
    renderer = app.renderer
    renderer.__class__ = DrawnOnce
    assert isinstance(renderer, DrawnOnce)
    renderer.prompts = prompts
    for window in app.layout.find_all_windows():
        if type(window) is Window:
            window.__class__ = _Still


class DrawnOnce(Renderer):
    """The last drawing is what has changed, and then the cursor goes below it."""

    prompts: Callable[[int], str | None]
    has_begun = False
    """Whether the prompt is there."""
    at_once = 0
    """So many rows were typed faster than they could be drawn. They have no colours."""
    behind = ""
    """What the terminal is told behind a prompt that was drawn: prompt_toolkit says nothing of a place where nothing
    stands yet."""
    _shown: str | None = None
    """The text that is to be seen; None where that is not a line and nothing else."""

    def render(self, app: Application[object], layout: Layout, is_done: bool = False) -> None:
        """Draw what has changed."""
        if self._last_screen is None or not app.is_done:
            if not self._is_written(app, layout):
                begins = self._last_screen is None
                super().render(app, layout, is_done)
                if begins and _line(layout) == "":
                    self.output.write_raw(self.behind)
                    self.output.flush()
                self.has_begun = True
            self._shown = _line(layout)
            return
        if not is_done:
            return  # the last drawing is next
        rest = self._rest(_line(layout)) if app.exit_style in _TAKES else ""
        written = rest and self._as_typed(rest)
        if written:
            self.output.write_raw(written + line_end(self.output))
        else:
            self._end(app, layout)
        self.output.flush()
        self.reset()

    def reset(self, _scroll: bool = False, leave_alternate_screen: bool = True) -> None:
        super().reset(_scroll, leave_alternate_screen)
        self._shown, self.at_once, self.has_begun = None, 0, False

    def _end(self, app: Application[object], layout: Layout) -> None:
        for row in self._last_screen.data_buffer.values() if self._last_screen and app.exit_style else ():
            for column, cell in row.items():  # the same cells, but for the style of a line that is taken
                row[column] = Char(cell.char, f"{cell.style} {app.exit_style}")
        super().render(app, layout, is_done=False)
        size = self.output.get_size()
        below = layout.container.preferred_height(size.columns, size.rows).preferred
        if app.exit_style == _ABORTS:
            self.output.write_raw("^C")
        self.output.write_raw(line_end(self.output) * max(1, min(below, size.rows) - self._cursor_pos.y))
        self.output.erase_down()

    # --------------------------------------------------------------------------- written, and not drawn

    def _is_written(self, app: Application[object], layout: Layout) -> bool:
        """Write the prompt, or the rows that have been typed since: whether that was possible."""
        line = _line(layout)
        if self._last_screen is None:
            prompt = self.prompts(0) if line == "" else None
            written = prompt.replace("\n", line_end(self.output)) if prompt else ""
            rows = 0
            begins = True
        else:
            rest = self._rest(line)
            written = self._as_typed(rest) if rest.endswith("\n") else ""
            rows = (line or "").count("\n")
            begins = False
        if not written or not self._follow(app, layout, written, rows):
            return False
        if begins:
            self.output.write_raw(_AS_EVER)
            if not self._cursor_key_mode_reset:
                self.output.reset_cursor_key_mode()
            if not self._bracketed_paste_enabled:
                self.output.enable_bracketed_paste()
            self._cursor_key_mode_reset = self._bracketed_paste_enabled = True
        self.output.write_raw(written)
        self.output.flush()
        return True

    def _rest(self, line: str | None) -> str:
        """What was typed behind a row that is empty on the screen."""
        shown = self._shown
        if line is None or shown is None or not line.startswith(shown) or (shown and shown[-1] != "\n"):
            return ""
        rest = line[len(shown) :]
        return rest if rest.replace("\n", "").isprintable() else ""

    def _as_typed(self, rest: str) -> str:
        """It, with the prompts of the rows that follow; '' where one has to be drawn."""
        row = (self._shown or "").count("\n")
        first, *others = rest.split("\n")
        found = first
        for number, text in enumerate(others, row + 1):
            prompt = self.prompts(number)
            if prompt is None:
                return ""
            found += line_end(self.output) + prompt + text
        return found

    def _follow(self, app: Application[object], layout: Layout, written: str, rows: int) -> bool:
        """Know what is going to be seen, and where the cursor is then: whether prompt_toolkit would have it there,
        too."""
        before = self._last_screen, self._last_style, self._cursor_pos, self._last_size
        was = self.has_begun, self.at_once
        output, self.output = self.output, Nowhere(self.output.get_size())
        modes = self._bracketed_paste_enabled, self._cursor_key_mode_reset
        self.has_begun, self.at_once = True, rows
        seen = [visible(row) for row in written.split("\n")]
        place = Point(x=get_cwidth(seen[-1]), y=self._cursor_pos.y + len(seen) - 1)
        try:
            super().render(app, layout)
        finally:
            self.output = output
            self._bracketed_paste_enabled, self._cursor_key_mode_reset = modes
        columns, lines = self.output.get_size().columns, self.output.get_size().rows
        if self._cursor_pos == place and place.y < lines - 1 and all(get_cwidth(row) < columns for row in seen):
            return True
        self._last_screen, self._last_style, self._cursor_pos, self._last_size = before
        self.has_begun, self.at_once = was
        return False


class Nowhere(DummyOutput):
    """What is drawn here nobody sees."""

    def __init__(self, size: Size) -> None:
        self._size = size

    def get_size(self) -> Size:
        """Of the terminal."""
        return self._size


def _line(layout: Layout) -> str | None:
    """The line that is edited; None where something else is to be seen as well, or its cursor is within it."""
    buffer = layout.current_buffer
    if buffer is None or buffer.name != DEFAULT_BUFFER or buffer.complete_state is not None:
        return None
    return buffer.text if buffer.document.is_cursor_at_the_end else None
