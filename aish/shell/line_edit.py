"""`read -e`: one line, edited as at the prompt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.formatted_text import ANSI

from aish.lang.control import Interrupted
from aish.lang.signals import SIGINT
from aish.shell.drawing import draw_once
from aish.shell.keyboard import keyboard
from aish.shell.paper import editable_output
from aish.shell.typewriter import type_on_paper

if TYPE_CHECKING:
    from aish.lang.runtime import Runtime


def edit(rt: Runtime, prompt: str, begin: str, within_s: float | None) -> str | None:
    """The line that is typed, without its end; None for Ctrl-D. Raises Interrupted; TimeoutError where it takes
    longer than `within_s`."""
    output, dumb = editable_output(rt.values.get("TERM", ""))
    session: PromptSession[str] = PromptSession(
        ANSI(prompt),
        input=keyboard(),
        output=output,
        editing_mode=EditingMode.VI if rt.vi else EditingMode.EMACS,
    )
    if dumb:
        type_on_paper(session.app, lambda row: prompt)
    else:
        draw_once(session.app)

    def begins() -> None:
        if within_s is not None:
            app = get_app()
            app.loop.call_later(within_s, lambda: app.exit(exception=TimeoutError()) if app.is_running else None)  # type: ignore[union-attr]

    try:
        return session.prompt(default=begin, pre_run=begins)
    except KeyboardInterrupt:
        raise Interrupted(SIGINT) from None
    except EOFError:
        sys.stderr.write("\n")
        sys.stderr.flush()
        return None
    finally:
        rt.signals.reinstall()  # the event loop took SIGINT and SIGWINCH for itself
