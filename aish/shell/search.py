"""A search in the history: its keys, where it began, and that nothing was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.application import get_app
from prompt_toolkit.filters import is_searching, vi_mode
from prompt_toolkit.layout.controls import SearchBufferControl
from prompt_toolkit.layout.processors import AfterInput
from prompt_toolkit.search import SearchDirection, accept_search, do_incremental_search, stop_search

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.layout import Layout

    Press = Callable[[KeyPressEvent], None]

_EDITING_KEYS = (
    "c-a",
    "c-e",
    "c-b",
    "c-f",
    "c-d",
    "c-k",
    "c-t",
    "c-y",
    "left",
    "right",
    "home",
    "end",
    "delete",
    "tab",
)
"""In a search."""


def add_keys(found: KeyBindings) -> None:
    """Those that mean something else while a search goes on."""

    @found.add("enter", filter=is_searching)
    def _(event: KeyPressEvent) -> None:
        """Ctrl-R: run what was found, as readline does."""
        accept_search()
        get_app().current_buffer.validate_and_handle()

    @found.add("c-j", filter=is_searching)
    def _(event: KeyPressEvent) -> None:
        """Ctrl-J ends the search, and leaves the line to be edited."""
        accept_search()

    @found.add("enter", filter=is_searching & vi_mode)
    def _(event: KeyPressEvent) -> None:
        """vi's / and ?: the line is found, and not run yet."""
        accept_search()

    def leave_search(event: KeyPressEvent) -> None:
        """Keys that edit end the search: what was found is edited."""
        accept_search()
        event.app.key_processor.feed_multiple(event.key_sequence, first=True)

    for key in _EDITING_KEYS:
        found.add(key, filter=is_searching & ~vi_mode)(leave_search)

    origin = _Origin()

    def search_on(direction: SearchDirection) -> Press:
        def press(event: KeyPressEvent) -> None:
            origin.note(event.app.layout)
            do_incremental_search(direction, count=event.arg)

        return press

    for keys, direction in ((("c-r", "up"), SearchDirection.BACKWARD), (("c-s", "down"), SearchDirection.FORWARD)):
        for key in keys:
            found.add(key, filter=is_searching)(search_on(direction))

    @found.add("c-g", filter=is_searching)
    def _(event: KeyPressEvent) -> None:
        """The line is as it was, however many were found."""
        origin.restore(event.app.layout)
        stop_search()

    @found.add("<sigint>", filter=is_searching)
    def _(event: KeyPressEvent) -> None:
        """Ctrl-C ends the search and drops the line."""
        stop_search()
        event.app.exit(exception=KeyboardInterrupt(), style="class:aborting")


class _Origin:
    """Where a search began: prompt_toolkit leaves the line for what is found when Ctrl-R is pressed again."""

    __slots__ = ("_begun", "_place")

    def __init__(self) -> None:
        self._begun: object = None
        self._place = (0, 0)

    def note(self, layout: Layout) -> None:
        """Before the search goes on; the first time counts."""
        begun, buffer = self._search(layout)
        if begun is not self._begun and buffer is not None:
            newer = len(buffer._working_lines) - buffer.working_index  # noqa: SLF001  older ones may still come
            self._begun, self._place = begun, (newer, buffer.cursor_position)

    def restore(self, layout: Layout) -> None:
        begun, buffer = self._search(layout)
        if begun is self._begun and buffer is not None:
            newer, at = self._place
            buffer.working_index, buffer.cursor_position = len(buffer._working_lines) - newer, at  # noqa: SLF001

    @staticmethod
    def _search(layout: Layout) -> tuple[object, Buffer | None]:
        """Something that this search alone has, and what is searched."""
        searched = layout.search_target_buffer_control
        typed = layout.current_buffer
        begun = None if typed is None else typed._working_lines  # noqa: SLF001  new ones for each
        return begun, None if searched is None else searched.buffer


def tell_misses(layout: Layout) -> None:
    """Say behind what is searched for that it is not there: the line stays what it was, and looks as if it were."""
    for control in layout.find_all_controls():
        if isinstance(control, SearchBufferControl):
            assert control.input_processors is not None
            control.input_processors.append(AfterInput(_miss, style="class:aish.bad"))


def _miss() -> str:
    searched = get_app().layout.search_target_buffer_control
    if searched is None:
        return ""
    wanted, buffer = get_app().layout.current_buffer, searched.buffer
    text = wanted.text if wanted is not None else ""
    return "" if any(text in line for line in buffer._working_lines) else "  not found"  # noqa: SLF001
