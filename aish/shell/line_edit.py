"""`read -e`: one line, edited as at the prompt."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.formatted_text import ANSI

from aish.lang.control import CommandError, Interrupted
from aish.lang.signals import SIGINT
from aish.shell.bound_keys import Pressed, bound
from aish.shell.drawing import draw_once
from aish.shell.interruption import Interruption
from aish.shell.keyboard import keyboard
from aish.shell.paper import editable_output
from aish.shell.typewriter import type_on_paper

if TYPE_CHECKING:
    from prompt_toolkit.application import Application

    from aish.lang.runtime import Runtime


def edit(rt: Runtime, prompt: str, begin: str, within_s: float | None) -> str | None:
    """The line that is typed, without its end; None for Ctrl-D. Raises Interrupted; TimeoutError where it takes
    longer than `within_s`; CommandError in the midst of another edited line."""
    if asyncio._get_running_loop() is not None:  # noqa: SLF001
        raise CommandError(
            "a line is being edited already", hint="actions of signals cannot edit lines at the prompt"
        )
    output, dumb = editable_output(rt.values.get("TERM", ""))
    session: PromptSession[str] = PromptSession(
        ANSI(prompt),
        key_bindings=bound(rt, None),
        input=keyboard(),
        output=output,
        editing_mode=EditingMode.VI if rt.vi else EditingMode.EMACS,
    )
    if dumb:
        type_on_paper(session.app, lambda row: prompt)
    else:
        draw_once(session.app)

    def timed_out(app: Application[object]) -> None:
        if app.is_running and not app.is_done:  # the line may just have been taken
            app.exit(exception=TimeoutError())

    interruption = Interruption(session.app)

    def begins() -> None:
        interruption.running()
        if within_s is not None:
            app = get_app()
            app.loop.call_later(within_s, timed_out, app)  # type: ignore[union-attr]

    start = Document(begin)
    try:
        while True:
            if SIGINT in rt.signals.handled:
                interruption.listen()
            try:
                line: object = session.prompt(default=start, pre_run=begins, handle_sigint=False)
            finally:
                rt.signals.reinstall()  # the editor took SIGINT and SIGWINCH, which a key's command hears of
                if interruption.is_left():
                    raise Interrupted(SIGINT)
            if not isinstance(line, Pressed):
                return str(line)
            session.app.erase_when_done = False
            start = line.run(rt)
    except KeyboardInterrupt:
        raise Interrupted(SIGINT) from None
    except EOFError:
        sys.stderr.write("\n")
        sys.stderr.flush()
        return None
