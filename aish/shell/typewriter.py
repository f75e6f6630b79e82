"""The line on a terminal that can do nothing but print, go back by one and begin a new line (TERM=dumb).

The editor is the same as elsewhere; what is drawn is one row, which scrolls sideways where it is too long.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prompt_toolkit.renderer import Renderer
from prompt_toolkit.search import SearchDirection, SearchState
from prompt_toolkit.utils import get_cwidth

from aish.shell.paper import line_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.application import Application
    from prompt_toolkit.layout import Layout

_LEAST_ROOM = 10
"""Behind a prompt that leaves less, a line scrolls as if it had no prompt."""
_ESCAPES = re.compile(
    r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|[\x00-\x1f\x7f]"
)


class Typewriter(Renderer):
    """In the place of prompt_toolkit's renderer; `prompts` gives the prompt of a row, as it is written."""

    prompts: Callable[[int], str | None]
    _above: list[str] | None = None
    """The rows above the one that the cursor is in; None: nothing is drawn."""
    _drawn = ""
    _at = 0
    """The cursor's place in what is drawn."""
    _room = 80
    _line_end = "\r\n"
    silent = False
    """Nothing but prompts is shown."""
    breaks = True
    """A new line begins where one was typed. Where echo is off, readline has bracketed paste's end say so."""

    def render(self, app: Application[object], layout: Layout, is_done: bool = False) -> None:
        """Draw what has changed; at the end go to the next line."""
        if app.is_done and not is_done:
            return
        if layout.current_buffer is not None:
            layout.current_buffer.load_history_if_not_yet_loaded()  # drawing does that elsewhere
        rows, row, column = _wanted(layout)
        if is_done:
            row, column = len(rows) - 1, len(rows[-1])
        self._draw(rows, row, column)
        if is_done:
            aborted = app.exit_style == "class:aborting"
            last = "" if app.exit_style == "class:exiting" or not (self.breaks or aborted) else self._line_end
            self._write("^C" + last if aborted else last)
            self.output.flush()
            self.reset()
        self.output.flush()

    def erase(self, leave_alternate_screen: bool = True) -> None:
        """What comes next stands on a line of its own, and the prompt is drawn anew behind it."""
        if self._above is not None:
            self._write(self._line_end)
            self.output.flush()
        self.reset()

    def clear(self) -> None:
        """Ctrl-L."""
        self.erase()

    def reset(self, _scroll: bool = False, leave_alternate_screen: bool = True) -> None:
        super().reset()
        self._above = None

    def request_absolute_cursor_position(self) -> None:
        """Nobody would answer."""

    # ---------------------------------------------------------------------------------------- drawing

    def _draw(self, rows: list[str], row: int, column: int) -> None:
        above = rows[:row]
        if self._above is None:
            self._begin(0)
        elif above[: len(self._above)] != self._above:
            self._write(self._line_end)
            self._begin(0)
        assert self._above is not None
        while len(self._above) < row:
            text = rows[len(self._above)]
            self._show(text, len(text))
            self._write(self._line_end if self.breaks else "")
            self._begin(len(self._above) + 1, [*self._above, text])
        self._show(rows[row], column)

    def _begin(self, row: int, above: list[str] | None = None) -> None:
        prompt = self.prompts(row) or ""
        self._line_end = line_end(self.output)
        self._write(prompt.replace("\n", self._line_end))
        width = get_cwidth(visible(prompt.rpartition("\n")[2]))
        columns = self.output.get_size().columns - 1
        self._room = columns - width if columns - width >= _LEAST_ROOM else columns
        self._above, self._drawn, self._at = above or [], "", 0

    def _show(self, text: str, column: int) -> None:
        """Have the row be `text`, with the cursor before its character `column`."""
        if self.silent:
            return
        wanted, at = scrolled(_shown(text), len(_shown(text[:column])), self._room)
        same = 0
        while same < min(len(wanted), len(self._drawn)) and wanted[same] == self._drawn[same]:
            same += 1
        if same < max(len(wanted), len(self._drawn)):
            self._move(self._drawn, same)
            self._write(wanted[same:])
            rest = get_cwidth(self._drawn[same:]) - get_cwidth(wanted[same:])
            self._write(" " * rest + "\b" * rest)
            self._drawn, self._at = wanted, len(wanted)
        self._move(wanted, at)

    def _move(self, text: str, to: int) -> None:
        if to < self._at:
            self._write("\b" * get_cwidth(text[to : self._at]))
        else:
            self._write(text[self._at : to])
        self._at = to

    def _write(self, text: str) -> None:
        if text:
            self.output.write_raw(text)


def visible(text: str) -> str:
    """Without what speaks to a terminal."""
    return _ESCAPES.sub("", text)


def scrolled(text: str, cursor: int, room: int) -> tuple[str, int]:
    """What of a line is to be seen in `room` columns, and where the cursor is in it. < and > stand for the rest."""
    if get_cwidth(text) <= room:
        return text, cursor
    step = max(1, room // 2)
    start = 0 if cursor < room - 1 else ((cursor - room) // step + 1) * step
    while get_cwidth(text[start:cursor]) >= room:  # characters that are two columns wide
        start += 1
    end = start
    while end < len(text) and get_cwidth(text[start : end + 1]) <= room - 1:
        end += 1
    shown = text[start:end] + (">" if end < len(text) else "")
    return ("<" + shown[1:] if start else shown), cursor - start


def _shown(text: str) -> str:
    """Control characters as readline shows them."""
    if text.isprintable():
        return text
    return "".join([f"^{chr(ord(char) ^ 64)}" if ord(char) < 32 or ord(char) == 127 else char for char in text])


def _wanted(layout: Layout) -> tuple[list[str], int, int]:
    """The rows, and the row and column of the cursor."""
    control = layout.search_target_buffer_control
    if control is None:
        document = layout.current_buffer.document if layout.current_buffer is not None else None
        if document is None:
            return [""], 0, 0
        return document.text.split("\n"), document.cursor_position_row, document.cursor_position_col
    typed = layout.current_buffer.text if layout.current_buffer is not None else ""
    direction = control.search_state.direction
    found = control.buffer.document
    if typed:
        found = control.buffer.document_for_search(SearchState(text=typed, direction=direction))
    way = "reverse-i-search" if direction == SearchDirection.BACKWARD else "i-search"
    label = f"({way})`{typed}': "
    return [label + found.text.replace("\n", " ")], 0, len(label) + found.cursor_position


def type_on_paper(app: Application[str], prompts: Callable[[int], str | None]) -> None:
    """Have an application draw by this renderer; `prompts` gives the prompt of a row."""
    renderer = app.renderer
    renderer.__class__ = Typewriter
    assert isinstance(renderer, Typewriter)
    renderer.prompts = prompts
    app._on_resize = lambda: None  # type: ignore[method-assign]  # noqa: SLF001  a row stays as it was typed
