"""`read -e`: one line, edited as at the prompt."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from prompt_toolkit.application import get_app
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.formatted_text import ANSI, to_formatted_text

from aish.lang.control import CommandError
from aish.shell.arrivals import Arrivals
from aish.shell.bound_keys import Pressed, bound
from aish.shell.editor import SEEN, Editor

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
    editor = Editor(
        rt,
        lambda row: prompt,
        goes_on=True,
        message=to_formatted_text(ANSI(prompt), style=SEEN),
        key_bindings=bound(rt, None),
        editing_mode=EditingMode.VI if rt.vi else EditingMode.EMACS,
    )

    def timed_out(app: Application[object]) -> None:
        if app.is_running and not app.is_done:  # the line may just have been taken
            app.exit(exception=TimeoutError())

    arrivals = Arrivals(rt, editor.session.app)

    def begins() -> None:
        arrivals.running()
        if within_s is not None:
            app = get_app()
            app.loop.call_later(within_s, timed_out, app)  # type: ignore[union-attr]

    start = Document(begin)
    while True:
        with arrivals:
            line = editor.read(start, begins)
        if not isinstance(line, Pressed):
            break
        start = line.run(rt)
    if line is None:
        sys.stderr.write("\n")
        sys.stderr.flush()
    return None if line is None else str(line)
