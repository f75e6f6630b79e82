"""The prompt without a terminal that could be edited on: a dumb one, a pipe, a pty of a program."""

from __future__ import annotations

from aish.lang.control import Interrupted
from aish.lang.parser import parse
from aish.lang.trace import expand_prompt
from aish.shell.inputs import StandardInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime


class PlainReader:
    """PS1, a line, PS2 and more lines while the command is not complete."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.input = StandardInput(rt)

    def read(self) -> str | None:
        """The next complete command; None at the end. Raises Interrupted for Ctrl-C."""
        text = ""
        while True:
            self.rt.prompt(self._prompt("PS2" if text else "PS1"))
            try:
                line = self.input.more()
            except Interrupted:
                self.rt.error_line("")
                raise
            text += line
            if not line:
                if not text:
                    self.rt.error_line("exit")
                return text or None
            if not parse(text, posix=self.rt.posix).incomplete:
                return text

    def _prompt(self, name: str) -> str:
        status = self.rt.status
        text = expand_prompt(self.rt, self.rt.values.get(name, ""))
        self.rt.status = status
        return text
