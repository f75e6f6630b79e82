"""A line editor: prompt_toolkit on what the terminal is, a screen or paper, with Ctrl-C as the shell means it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession

from aish.lang.control import Interrupted
from aish.lang.signals import SIGINT
from aish.shell.drawing import draw_once
from aish.shell.interruption import Interruption
from aish.shell.keyboard import keyboard
from aish.shell.paper import is_paper, paper, screen
from aish.shell.typewriter import type_on_paper

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.document import Document
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

    from aish.lang.runtime import Runtime

SEEN = "fg:ansidefault"
"""A blank that has a colour is written, and not stepped over: programs that wait for a prompt find all of it."""


class Editor:
    """One, for as many lines as are wanted. `prompts` gives the prompt of a row, as it is written, or None for one
    that is to be drawn; `input` and `output` are for tests; the rest is PromptSession's."""

    def __init__(
        self,
        rt: Runtime,
        prompts: Callable[[int], str | None],
        *,
        on_paper: bool | None = None,
        goes_on: bool = False,
        input: Input | None = None,
        output: Output | None = None,
        **options: Any,
    ) -> None:
        self.rt = rt
        self.goes_on = goes_on
        """Behind the action of a trapped Ctrl-C, with the line as it was."""
        self.on_paper = is_paper(rt.values.get("TERM", "")) if on_paper is None else on_paper
        self.session: PromptSession[Any] = PromptSession(
            input=input or keyboard(), output=output or (paper() if self.on_paper else screen()), **options
        )
        if self.on_paper:
            type_on_paper(self.session.app, prompts)
        else:
            draw_once(self.session.app, prompts)
        self._interruption = Interruption(self.session.app, rt.signals)

    def read(self, begin: Document, running: Callable[[], None]) -> Any:
        """What was typed behind `begin`, or what a key has ended it with; None for Ctrl-D. `running` is called when
        the event loop runs. Raises Interrupted."""
        found = None
        try:
            if SIGINT in self.rt.signals.handled and not (self.goes_on and self.rt.signals.traps.get(SIGINT)):
                self._interruption.listen()
            found = self.session.prompt(default=begin, pre_run=lambda: self._runs(running), handle_sigint=False)
        except KeyboardInterrupt:
            raise Interrupted(SIGINT) from None
        except EOFError:
            pass  # unless there is a Ctrl-C as well
        finally:
            self.session.app.erase_when_done = False
            self.rt.signals.reinstall()  # the editor took SIGINT and SIGWINCH for itself
        if self._interruption.is_left():
            raise Interrupted(SIGINT)
        return found

    def _runs(self, running: Callable[[], None]) -> None:
        running()
        self._interruption.running()
