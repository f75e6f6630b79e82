"""What keys that `bind` has bound do: prompt_toolkit's functions by readline's names, and those that it has not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.key_binding.bindings.named_commands import get_by_name
from prompt_toolkit.key_binding.vi_state import InputMode

from aish.lang.builtins.bind import VI
from aish.lang.control import CommandError
from aish.shell.keys import accept_line, expand_abbreviation

if TYPE_CHECKING:
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.key_binding import KeyPressEvent

    from aish.lang.runtime import Runtime
    from aish.shell.keys import Press

_WORD = re.compile(r"[^\W_]+")
_SAME = {
    "backward-byte": "backward-char",
    "backward-kill-line": "unix-line-discard",
    "forward-byte": "forward-char",
    "insert-last-argument": "yank-last-arg",
    "non-incremental-reverse-search-history": "reverse-search-history",
    "old-menu-complete": "menu-complete",
    "possible-completions": "complete",
    "shell-backward-kill-word": "backward-kill-word",
    "shell-backward-word": "backward-word",
    "shell-forward-word": "forward-word",
    "shell-kill-word": "kill-word",
    "unix-filename-rubout": "backward-kill-word",
    "upcase-word": "uppercase-word",
    "vi-unix-word-rubout": "unix-word-rubout",
    "vi-yank-arg": "yank-last-arg",
}
"""What does here as another function does."""


def function(rt: Runtime, name: str, mode: str) -> Press | None:
    """What readline has under this name; None for what this editor has not in this mode."""
    name = _SAME.get(name, name)
    match name:
        case "accept-line":
            return accept_line(rt)
        case "delete-char-or-list":
            return _delete_or_list
        case "vi-movement-mode":
            return _to_commands if mode == VI else None
        case "history-search-backward" | "history-search-forward":
            return _Search(backward=name.endswith("backward"), anywhere=False).press
        case "history-substring-search-backward" | "history-substring-search-forward":
            return _Search(backward=name.endswith("backward"), anywhere=True).press
        case "menu-complete" | "menu-complete-backward":
            return _each(backward=name.endswith("backward"))
        case "kill-whole-line":
            return _kill_whole_line
        case "magic-space" | "history-expand-line" | "history-and-alias-expand-line":
            return _expand_events(rt, blank=name == "magic-space")
        case "transpose-words":
            return transpose_words
        case "edit-and-execute-command" | "vi-edit-and-execute-command":
            from aish.shell.bound_keys import open_editor

            return open_editor
        case "tab-insert":
            return lambda event: event.current_buffer.insert_text("\t" * event.arg)
        case _:
            try:
                return _named(name)
            except KeyError:
                return None


def _named(name: str) -> Press:
    """prompt_toolkit's. Raises KeyError."""
    return get_by_name(name).handler  # type: ignore[return-value]


class _Search:
    """The next line of the history that has what stands before the cursor, at its beginning or anywhere."""

    def __init__(self, *, backward: bool, anywhere: bool) -> None:
        self.step = -1 if backward else 1
        self.anywhere = anywhere

    def press(self, event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        last = _last_search.get("last")
        wanted = last[0] if last is not None and last[1] == buffer.document else buffer.document.text_before_cursor
        number, lines = buffer.working_index, buffer._working_lines  # noqa: SLF001  it has no other search for keys
        while 0 <= number + self.step < len(lines):
            number += self.step
            line = lines[number]
            if line != buffer.text and (wanted in line if self.anywhere else line.startswith(wanted)):
                buffer.working_index = number
                buffer.cursor_position = len(line if self.anywhere or not wanted else wanted)
                _last_search["last"] = wanted, buffer.document
                return
        event.app.output.bell()


_last_search: dict[str, tuple[str, Document]] = {}
"""What was searched last, and what was found: as long as the line is that, a key goes on with it."""


def _each(*, backward: bool) -> Press:
    """The first completion in the place of the word, and at the next key the next one."""

    def press(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is None:
            event.app.create_background_task(_first(buffer, backward=backward))
        elif backward:
            buffer.complete_previous(count=event.arg)
        else:
            buffer.complete_next(count=event.arg)

    return press


async def _first(buffer: Buffer, *, backward: bool) -> None:
    """Ask for the completions. One that is alone ends the word: the next key is for what comes behind it."""
    await buffer._async_completer(  # noqa: SLF001  start_completion tells nobody when it is done
        select_first=not backward, select_last=backward, complete_event=CompleteEvent(completion_requested=True)
    )
    state = buffer.complete_state
    if state is not None and len(state.completions) == 1 and state.complete_index == 0:
        buffer.complete_state = None
        buffer.on_completions_changed.fire()


def _delete_or_list(event: KeyPressEvent) -> None:
    """Ctrl-D as the C shell has it."""
    document = event.current_buffer.document
    if not document.text:
        event.app.exit(exception=EOFError())
    else:
        _named("complete" if document.is_cursor_at_the_end else "delete-char")(event)


def _to_commands(event: KeyPressEvent) -> None:
    """As Escape in vi's mode."""
    buffer = event.current_buffer
    buffer.cursor_position += buffer.document.get_cursor_left_position()
    event.app.vi_state.input_mode = InputMode.NAVIGATION


def transpose_words(event: KeyPressEvent) -> None:
    """The word before the cursor goes behind the next one; at the end of the line the last two change places."""
    buffer = event.current_buffer
    words = list(_WORD.finditer(buffer.text))
    second = next(
        (number for number, word in enumerate(words) if word.end() > buffer.cursor_position), len(words) - 1
    )
    if second < 1:
        event.app.output.bell()
        return
    one, other = words[second - 1], words[second]
    text = buffer.text
    changed = text[: one.start()] + other[0] + text[one.end() : other.start()] + one[0] + text[other.end() :]
    buffer.document = Document(changed, other.end())


def _kill_whole_line(event: KeyPressEvent) -> None:
    buffer = event.current_buffer
    event.app.clipboard.set_text(buffer.text)
    buffer.document = Document()


def _expand_events(rt: Runtime, *, blank: bool) -> Press:
    """!! and its like before the cursor become what they stand for; then a blank."""

    def press(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if blank:
            expand_abbreviation(rt, buffer)
        before = buffer.document.text_before_cursor
        if "!" in before and rt.typed is not None and rt.histexpand:
            from aish.lang.history_words import expand

            try:
                text = expand(before, rt.typed.lines()).text
            except CommandError:
                text = before  # told when the line is run
            if text != before:
                buffer.delete_before_cursor(len(before))
                buffer.insert_text(text)
        if blank:
            buffer.insert_text(" ")

    return press
