"""What keys do beyond what prompt_toolkit gives them: Enter knows the grammar, blanks expand abbreviations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.application import get_app
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import (
    Condition,
    emacs_insert_mode,
    has_focus,
    vi_insert_mode,
    vi_navigation_mode,
)
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.bindings.named_commands import get_by_name
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.keys import Keys

from aish.shell import search
from aish.shell.complete import COMMAND, situation
from aish.shell.continuation import goes_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.key_binding import KeyPressEvent

    from aish.lang.runtime import Runtime

    Press = Callable[[KeyPressEvent], None]


def bindings(rt: Runtime) -> KeyBindings:
    """Ours; they come before prompt_toolkit's."""
    found = KeyBindings()
    editing = has_focus(DEFAULT_BUFFER) & (emacs_insert_mode | vi_insert_mode)

    found.add("enter", filter=has_focus(DEFAULT_BUFFER))(accept_line(rt))

    search.add_keys(found)

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
