"""The line that the next prompt begins with, where a key or an event has said so: Ctrl-O, `shopt -s histverify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.shell.keys import accept_line

if TYPE_CHECKING:
    from prompt_toolkit.key_binding import KeyPressEvent

    from aish.lang.runtime import Runtime
    from aish.shell.keys import Press


class Offered:
    """What is offered next."""

    def __init__(self) -> None:
        self.text = ""
        self._rest: list[str] = []
        """The lines of the history behind the one that ran by Ctrl-O."""

    def take(self) -> str:
        """The line, which is offered once."""
        text, self.text = self.text, ""
        return text

    def run_and_go_on(self, rt: Runtime) -> Press:
        """Ctrl-O: run the line as Enter does; the next one of the history comes by itself."""
        accept = accept_line(rt)

        def press(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            lines, at = buffer._working_lines, buffer.working_index  # noqa: SLF001  it has no other list
            if at < len(lines) - 1:  # else the line was offered, or is a new one
                self._rest = list(lines)[at + 1 : -1]
            accept(event)
            if event.app.is_done and self._rest:
                self.text = self._rest.pop(0)

        return press
