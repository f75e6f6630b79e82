"""Signals that come while a line is edited: what is to be done runs between two keys, with the terminal as commands
find it. A handler of Python's could run it in the midst of a key, with the terminal as the editor has it."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import get_app, run_in_terminal

from aish.error import AishError
from aish.lang import signals
from aish.lang.control import Interrupted, Unwind
from aish.lang.signals import SIGCHLD, SIGINT, SIGTSTP, SIGWINCH, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prompt_toolkit.application import Application

    from aish.lang.runtime import Runtime


def run_traps(rt: Runtime) -> None:
    """As commands: Ctrl-C cuts them short, `exit` ends the shell; neither is for the editor."""
    app = get_app()
    before, rt.signals.at_prompt = rt.signals.at_prompt, None
    try:
        with Section(rt.signals, signals.RUNNING), _ours(rt.signals):
            rt.signals.poll_apart()
    except (Unwind, AishError) as error:
        if app.is_running and not app.is_done:
            app.exit(exception=error)
    finally:
        rt.signals.at_prompt = before


@contextmanager
def _ours(own: signals.Signals) -> Iterator[None]:
    """Take SIGINT and SIGWINCH back from the editor, whose event loop does not run meanwhile."""
    wakeup = signal.set_wakeup_fd(-1)
    before = {signo: signal.getsignal(signo) for signo in (SIGINT, SIGWINCH)}
    own.reinstall()
    try:
        yield
    finally:
        for signo, handler in before.items():
            if own.traps.get(signo) != "":
                signal.signal(signo, handler)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)


_OWN = (*signals.DEADLY, SIGTSTP)
"""Where these do what they do to any program: the editor puts the terminal back first."""


class Arrivals:
    """For one `read -e`; to be entered for each of its lines."""

    def __init__(self, rt: Runtime, app: Application[Any]) -> None:
        self.rt = rt
        self._app = app
        self._taken: set[int] = set()
        self._waiting: list[int] = []
        self._section = Section(rt.signals, signals.PROMPTING)

    def __enter__(self) -> None:
        self._before = self.rt.signals.at_prompt
        self._section.__enter__()
        self.rt.signals.at_prompt = self._tell
        self._take()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._leave()
        self.rt.signals.at_prompt = self._before
        self._section.__exit__()
        waiting, self._waiting = self._waiting, []
        for signo in waiting:  # they came behind Enter
            if signo == SIGTSTP:
                os.kill(os.getpid(), signo)
            elif kind is None:
                raise Interrupted(signo)

    def running(self) -> None:
        """The event loop runs: act upon those that came before."""
        for signo in (*self._waiting, *self.rt.signals.arrived):
            self._tell(signo)

    def _take(self) -> None:
        self._taken = {signo for signo in _OWN if signal.getsignal(signo) is signal.SIG_DFL}
        for signo in self._taken:
            signal.signal(signo, self._arrive)

    def _leave(self) -> None:
        for signo in self._taken:
            if signal.getsignal(signo) == self._arrive:  # else an action has set a trap
                signal.signal(signo, signal.SIG_DFL)
        self._taken.clear()

    def _arrive(self, signo: int, frame: object) -> None:
        if signo not in self._waiting:
            self._waiting.append(signo)
        self._tell(signo)

    def _tell(self, signo: int) -> None:
        """In a signal's handler."""
        if self._app.loop is not None:
            self._app.loop.call_soon_threadsafe(self._act, signo)

    def _act(self, signo: int) -> None:
        if not self._app.is_running or self._app.is_done:
            return
        if signo in self._waiting:
            self._waiting.remove(signo)
            if signo == SIGTSTP:
                run_in_terminal(self._stop)
            else:
                self._app.exit(exception=Interrupted(signo))
        elif self.rt.signals.traps.get(signo):
            run_in_terminal(self._run_traps)
        elif signo not in (SIGCHLD, SIGTSTP):
            self._app.exit(exception=Interrupted(signo))

    def _stop(self) -> None:
        """As a shell that knows nothing of Ctrl-Z; the line is drawn anew when it goes on."""
        self._leave()
        os.kill(os.getpid(), SIGTSTP)
        self._take()

    def _run_traps(self) -> None:
        self._leave()
        run_traps(self.rt)
        self._take()
