"""What keys do beyond what prompt_toolkit gives them: Enter knows the grammar, blanks expand abbreviations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.application import get_app
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import (
    Condition,
    emacs_insert_mode,
    has_focus,
    is_searching,
    vi_insert_mode,
    vi_mode,
    vi_navigation_mode,
)
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.bindings.named_commands import get_by_name
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.keys import Keys
from prompt_toolkit.search import SearchDirection, accept_search, do_incremental_search, stop_search

from aish.shell.complete import COMMAND, situation
from aish.shell.continuation import goes_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.key_binding import KeyPressEvent
    from prompt_toolkit.layout import Layout

    from aish.lang.runtime import Runtime

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


def bindings(rt: Runtime) -> KeyBindings:
    """Ours; they come before prompt_toolkit's."""
    found = KeyBindings()
    editing = has_focus(DEFAULT_BUFFER) & (emacs_insert_mode | vi_insert_mode)

    found.add("enter", filter=has_focus(DEFAULT_BUFFER))(accept_line(rt))

    _add_keys_of_a_search(found)

    @found.add(" ", filter=editing)
    def _(event: KeyPressEvent) -> None:
        expand_abbreviation(rt, event.current_buffer)
        event.current_buffer.insert_text(" ")

    @found.add("c", "w", filter=has_focus(DEFAULT_BUFFER) & vi_navigation_mode)
    def _(event: KeyPressEvent) -> None:
        """vi's cw leaves the blank behind the word."""
        buffer = event.current_buffer
        end = buffer.document.find_next_word_ending(include_current_position=True, count=event.arg)
        event.app.clipboard.set_text(buffer.delete(end or 0))
        event.app.vi_state.input_mode = InputMode.INSERT

    @found.add("c-z", filter=has_focus(DEFAULT_BUFFER))
    def _(event: KeyPressEvent) -> None:
        """There is nothing to stop."""

    @found.add("c-d", filter=has_focus(DEFAULT_BUFFER) & _in_further_line)
    def _(event: KeyPressEvent) -> None:
        """The end of the input, in the midst of a command: what there is of it is taken for all."""
        event.current_buffer.validate_and_handle()

    found.add("c-v", filter=editing)(get_by_name("quoted-insert"))
    found.add("escape", "_", filter=has_focus(DEFAULT_BUFFER) & emacs_insert_mode)(get_by_name("yank-last-arg"))

    for prefix in ("escape", "c-x"):

        @found.add(prefix, Keys.Any, filter=has_focus(DEFAULT_BUFFER) & emacs_insert_mode)
        def _(event: KeyPressEvent) -> None:
            """Keys that do nothing together: the second one alone would be written."""
            event.app.output.bell()

    @found.add("escape", "enter", filter=has_focus(DEFAULT_BUFFER) & emacs_insert_mode)
    def _(event: KeyPressEvent) -> None:
        """A new line, whatever the grammar says."""
        event.current_buffer.insert_text("\n")

    return found


def _add_keys_of_a_search(found: KeyBindings) -> None:
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


@Condition
def _in_further_line() -> bool:
    """Whether the cursor is in an empty row below others, at the end of all."""
    document = get_app().current_buffer.document
    return document.is_cursor_at_the_end and document.text.endswith("\n")


def accept_line(rt: Runtime) -> Press:
    """Run the command, or go on in a new line where it is not complete."""

    def press(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        expand_abbreviation(rt, buffer)
        text = buffer.text + "\n"
        if buffer.text.strip() and goes_on(rt, text):
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    return press


def expand_abbreviation(rt: Runtime, buffer: Buffer) -> None:
    """Replace the command word before the cursor by what it is short for."""
    if not rt.abbreviations:
        return
    before = buffer.document.text_before_cursor
    wanted = situation(before, posix=rt.posix)
    text = rt.abbreviations.get(wanted.written)
    if text is not None and wanted.kind == COMMAND and wanted.start + len(wanted.written) == len(before):
        buffer.delete_before_cursor(len(wanted.written))
        buffer.insert_text(text)
