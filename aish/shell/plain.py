"""The prompt where nothing is edited: without a terminal, with --noediting, in Emacs, which does that itself."""

from __future__ import annotations

import os
import select

from aish.lang.control import Interrupted
from aish.lang.prompts import expand
from aish.lang.signals import PROMPTING, Section
from aish.shell.continuation import goes_on
from aish.shell.leaving import IdleError, idle_s
from aish.shell.standard_input import StandardInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime

_MOST_MS = (1 << 31) - 1
"""For so long the system can wait at once: 24 days."""


class PlainReader:
    """PS1, a line, PS2 and more lines while the command is not complete."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.input = StandardInput(rt)

    def read(self) -> str | None:
        """The next complete command; None at the end. Raises Interrupted for Ctrl-C."""
        text = ""
        while True:
            self.rt.prompt(expand(self.rt, "PS2" if text else "PS1"))
            try:
                line = self._line()
            except Interrupted:
                self.rt.error_line("")
                raise
            text += line
            if not line:
                return text or None
            if not goes_on(self.rt, text):
                return text

    def _line(self) -> str:
        """A line. Ctrl-D behind some text hands that over, and is not its end. Raises IdleError."""
        wait_s = idle_s(self.rt)
        if wait_s is not None and not self._comes(wait_s):
            raise IdleError
        line = self.input.more(mode=PROMPTING)
        while line and not line.endswith("\n") and os.isatty(0):
            rest = self.input.more(mode=PROMPTING)
            if not rest:
                break
            line += rest
        return line

    def _comes(self, wait_s: float) -> bool:
        """Whether there is something to read within so many seconds. Raises Interrupted."""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        with Section(self.rt.signals, PROMPTING):
            return bool(poll.poll(min(wait_s * 1000, _MOST_MS)))

    def offer(self, text: str) -> bool:
        """Nothing is edited."""
        return False

    def begins(self, text: str) -> None:
        """Nothing is shown."""

    def ended(self, text: str, duration_s: float) -> None:
        """Nothing is shown."""
