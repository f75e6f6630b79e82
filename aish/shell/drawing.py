"""A prompt is drawn once: prompt_toolkit would draw it anew when the line is taken, and a program that waits for a
prompt would take that for the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.renderer import Renderer

if TYPE_CHECKING:
    from prompt_toolkit.application import Application
    from prompt_toolkit.layout import Layout


class DrawnOnce(Renderer):
    """The last drawing is what has changed, and then the cursor goes below it."""

    def render(self, app: Application[object], layout: Layout, is_done: bool = False) -> None:
        """Draw what has changed."""
        if not is_done or self._last_screen is None:
            super().render(app, layout, is_done)
            return
        super().render(app, layout, is_done=False)
        size = self.output.get_size()
        below = layout.container.preferred_height(size.columns, size.rows).preferred
        self.output.write_raw("\r\n" * max(1, min(below, size.rows) - self._cursor_pos.y))
        self.output.erase_down()
        self.output.flush()
        self.reset()
