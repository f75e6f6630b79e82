"""A prompt is drawn once: prompt_toolkit would draw it anew when the line is taken, and a program that waits for a
prompt would take that for the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.layout.containers import Window
from prompt_toolkit.layout.screen import Char
from prompt_toolkit.renderer import Renderer
from prompt_toolkit.utils import to_str

from aish.shell.paper import line_end

if TYPE_CHECKING:
    from prompt_toolkit.application import Application
    from prompt_toolkit.layout import Layout
    from prompt_toolkit.layout.screen import Screen, WritePosition


_ABORTS = "class:aborting"
"""The style of what Ctrl-C leaves behind."""


class _Still(Window):
    """A window whose last line has no style of its own: with a second line, the first one, and the prompt in it,
    would be drawn anew."""

    def _apply_style(self, new_screen: Screen, write_position: WritePosition, parent_style: str) -> None:
        new_screen.fill_area(write_position, style=f"{parent_style} {to_str(self.style)}", after=False)


def draw_once(app: Application[str]) -> None:
    """Have an application draw its prompt no more than once."""
    app.renderer.__class__ = DrawnOnce
    for window in app.layout.find_all_windows():
        if type(window) is Window:
            window.__class__ = _Still


class DrawnOnce(Renderer):
    """The last drawing is what has changed, and then the cursor goes below it."""

    def render(self, app: Application[object], layout: Layout, is_done: bool = False) -> None:
        """Draw what has changed."""
        if self._last_screen is None or not app.is_done:
            super().render(app, layout, is_done)
            return
        if not is_done:
            return  # the last drawing is next
        for row in self._last_screen.data_buffer.values() if app.exit_style else ():
            for column, cell in row.items():  # the same cells, but for the style of a line that is taken
                row[column] = Char(cell.char, f"{cell.style} {app.exit_style}")
        super().render(app, layout, is_done=False)
        size = self.output.get_size()
        below = layout.container.preferred_height(size.columns, size.rows).preferred
        if app.exit_style == _ABORTS:
            self.output.write_raw("^C")
        self.output.write_raw(line_end(self.output) * max(1, min(below, size.rows) - self._cursor_pos.y))
        self.output.erase_down()
        self.output.flush()
        self.reset()
