"""Ctrl-C while a line is edited. It comes before the keys that were typed behind it, and once the line was taken it
is for the command. An event loop, left to itself, hears of it after the keys, with perhaps no editor left to tell."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from aish.lang.signals import SIGINT
from aish.shell.keyboard import LineInput

if TYPE_CHECKING:
    from prompt_toolkit.application import Application

    from aish.lang.signals import Signals


class Interruption:
    """Of one editor. It takes the signal until somebody else does."""

    def __init__(self, app: Application[Any], signals: Signals) -> None:
        self._app = app
        self._signals = signals
        self._waits = False
        self._keys = app.input if isinstance(app.input, LineInput) else None
        if self._keys is not None:
            self._keys.hold(self._holds)

    def _holds(self) -> bool:
        """Before each key: a Ctrl-Z that came before one is for nobody."""
        self._signals.stop_asked_s = 0.0
        return self._waits

    def listen(self) -> None:
        """From now on."""
        self._waits = False
        signal.signal(SIGINT, self._arrive)

    def running(self) -> None:
        """The event loop runs: act upon one that came before."""
        if self._waits and self._app.loop is not None:
            self._app.loop.call_soon(self._act)

    def is_left(self) -> bool:
        """Whether one came that the editor had no time for. It is the caller's then."""
        waits, self._waits = self._waits, False
        return waits

    def _arrive(self, signo: int, frame: object) -> None:
        self._waits = True
        if self._app.loop is not None:
            self._app.loop.call_soon_threadsafe(self._act)

    def _act(self) -> None:
        if self._waits and self._app.is_running and not self._app.is_done:
            if self._keys is not None:
                self._keys.drop_paste()
            self._waits = False
            self._app.key_processor.send_sigint()
