"""The live view: one loop over keys, signals and what the feed brings."""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aish.client.signals import Caught
from aish.errors import AishError
from aish.top.control import press
from aish.top.feed import Answered, Failed, Feed, Lost
from aish.top.frame import frame
from aish.top.keys import Keys
from aish.top.once import screen_size, text
from aish.top.style import NOTE, Span
from aish.top.terminal import Terminal
from aish.wire.reply import View

if TYPE_CHECKING:
    from aish.top.control import Act
    from aish.top.feed import Connect, Item
    from aish.top.ui import Ui

_SIGNALS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGWINCH,
    signal.SIGTSTP,
    signal.SIGCONT,
)
_LEAVE: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_WAITING: Final = ((Span("aish top: waiting for the daemon", NOTE),),)
TICK_MS: Final = 1000
"""How often the age of what is shown is told anew when nothing arrives."""


def live(ui: Ui, connect: Connect, *, all_processes: bool) -> int:
    """Until a key or a signal ends it; the exit status. Raises AishError when the daemon refuses from the start."""
    with (
        Caught(_SIGNALS) as caught,
        Feed(connect, every_s=ui.every_s, all_processes=all_processes) as feed,
        Terminal(colour=ui.colour, ascii_only=ui.ascii_only) as terminal,
    ):
        return _Loop(ui, caught, feed, terminal).run()


class _Loop:
    def __init__(self, ui: Ui, caught: Caught, feed: Feed, terminal: Terminal) -> None:
        self._ui = ui
        self._caught = caught
        self._feed = feed
        self._terminal = terminal
        self._keys = Keys()
        self._view: View | None = None
        """What is shown; stands still while paused."""
        self._newest: View | None = None
        self._status: int | None = None

    def run(self) -> int:
        poll = select.poll()
        for fd in (self._terminal.input_fd, self._feed.fileno(), self._caught.fileno()):
            poll.register(fd, select.POLLIN)
        while self._status is None:
            try:
                self._draw()
            except OSError:
                return 128 + signal.SIGHUP  # the terminal is gone
            ready = {fd for fd, _ in poll.poll(TICK_MS)}
            if self._caught.fileno() in ready:
                self._on_signals()
            if self._feed.fileno() in ready:
                for item in self._feed.items():
                    self._on_item(item)
            if self._terminal.input_fd in ready and self._status is None:
                self._on_input()
        return self._status

    def _draw(self) -> None:
        width, height = self._terminal.size()
        self._ui = replace(self._ui, now_s=time.time())
        lines = _WAITING if self._view is None else frame(self._view, self._ui, width, height)
        self._terminal.draw(lines, width, height)

    def _on_item(self, item: Item) -> None:
        match item:
            case View():
                self._newest = item
                self._ui = replace(self._ui, link="live", history=self._ui.history.add(item))
                if not self._ui.paused or self._view is None:
                    self._view = item
            case Lost():
                self._ui = replace(self._ui, link="reconnecting")
            case Failed(error):
                raise error
            case Answered(text, trouble):
                self._ui = replace(self._ui, message=text, trouble=trouble)

    def _on_signals(self) -> None:
        for number in self._caught.arrived():
            if number in _LEAVE:
                self._status = 128 + number
            elif number == signal.SIGTSTP:
                self._suspend()
            elif number == signal.SIGCONT:
                self._terminal.resume()
            elif number == signal.SIGWINCH:
                self._terminal.forget()

    def _suspend(self) -> None:
        """Stop as any program does at Ctrl-Z, with the terminal as it was; go on when the shell says so."""
        self._terminal.suspend()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        try:
            os.kill(os.getpid(), signal.SIGTSTP)  # here we stand until SIGCONT
        finally:
            signal.signal(signal.SIGTSTP, handler)
        self._terminal.resume()

    def _on_input(self) -> None:
        try:
            data = os.read(self._terminal.input_fd, 1024)
        except OSError:
            data = b""
        if not data:  # hung up
            self._status = 128 + signal.SIGHUP
            return
        for key in self._keys.feed(data):
            self._ui, act = press(self._ui, self._view, key)
            if not self._ui.paused:
                self._view = self._newest
            if act is not None:
                self._perform(act)

    def _perform(self, act: Act) -> None:
        match act.kind:
            case "quit":
                self._status = 0
            case "redraw":
                self._terminal.forget()
            case "pause" | "cont" | "stop" | "cancel":
                self._feed.act(act)
            case "answer":
                self._answer(act.target or None)

    def _answer(self, target: str | None) -> None:
        """On the terminal as it was before us; then the screen again."""
        from aish.client import connect
        from aish.top.answering import go_through

        self._terminal.suspend()
        try:
            with connect(start=False, program="top") as client:
                go_through(client, target)
        except AishError as error:
            self._ui = replace(self._ui, message=str(error), trouble=True)
        except KeyboardInterrupt:
            pass  # no answer: the view goes on
        finally:
            self._terminal.resume()


def plain(ui: Ui, connect: Connect, *, all_processes: bool) -> int:
    """For a terminal that knows no escape sequences (TERM=dumb): one frame below the other."""
    with (
        Caught(_LEAVE) as caught,
        Feed(connect, every_s=ui.every_s, all_processes=all_processes) as feed,
    ):
        poll = select.poll()
        poll.register(feed.fileno(), select.POLLIN)
        poll.register(caught.fileno(), select.POLLIN)
        while True:
            poll.poll()
            for number in caught.arrived():
                return 128 + number
            for item in feed.items():
                match item:
                    case View():
                        ui = replace(ui, history=ui.history.add(item))
                        print(text(item, ui, *screen_size()), flush=True)
                    case Lost(error):
                        print(f"reconnecting: {error}", flush=True)
                    case Failed(error):
                        raise error
                    case Answered():
                        pass
