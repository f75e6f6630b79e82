"""vi's `.`: the last command that has changed the line, once more. prompt_toolkit has no such key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.enums import EditingMode
from prompt_toolkit.key_binding.vi_state import InputMode

if TYPE_CHECKING:
    from prompt_toolkit.application import Application
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.key_binding import KeyPressEvent
    from prompt_toolkit.key_binding.key_processor import KeyPress

_NO_CHANGES = ("u", "c-r", ".")


class LastChange:
    """What was pressed from one rest in vi's command mode to the next, of the command that changed the line last."""

    def __init__(self, app: Application[str], line: Buffer) -> None:
        self._app = app
        self._line = line
        self._keys: list[KeyPress] = []
        self._pressed: list[KeyPress] = []
        """Of the command that is being typed."""
        self._seen: object = None
        self._rest: tuple[str, int] | None = None
        """The line, and its place in the history, when the command began; None: it began in no command mode."""
        app.key_processor.after_key_press += self._after

    def begin(self) -> None:
        """A line begins, where text is typed."""
        self._rest = None
        self._pressed.clear()

    def again(self, event: KeyPressEvent) -> None:
        """`.`"""
        if self._keys:
            event.app.key_processor.feed_multiple(self._keys, first=True)
        else:
            event.app.output.bell()

    def _after(self, _: object) -> None:
        processor, state = self._app.key_processor, self._app.vi_state
        if self._app.editing_mode is not EditingMode.VI:
            return
        waiting = processor.key_buffer
        done = processor._previous_key_sequence  # noqa: SLF001  events have it only for the key behind
        if waiting:
            self._pressed.append(waiting[-1])  # others may follow
            return
        if done and done is not self._seen:
            self._pressed.append(done[-1])
        self._seen = done
        here = self._app.layout.current_buffer is self._line
        if not here or state.input_mode is not InputMode.NAVIGATION or state.operator_func or processor.arg:
            return
        now = self._line.text, self._line.working_index
        changed = self._rest is not None and self._rest[0] != now[0] and self._rest[1] == now[1]
        if changed and self._pressed and self._pressed[0].key not in _NO_CHANGES:
            self._keys = self._pressed.copy()
        self._rest = now
        self._pressed.clear()
