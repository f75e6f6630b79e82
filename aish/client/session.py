"""A terminal that is attached to a process: its log as it grows, our keys to its pty, its window as large as ours."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from aish.client import follow, raw
from aish.client.connection import connect
from aish.client.holds import Holds
from aish.client.hotkeys import PATIENCE_S, SUSPEND_KEY
from aish.client.notice import notice
from aish.client.signals import Caught
from aish.errors import AishError, UnavailableError
from aish.report import clean
from aish.wire.message import Cont, Pause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.client.hotkeys import Deed, Hotkeys
    from aish.client.screen import Screen
    from aish.client.seat import Seat
    from aish.wire.part import ExitPart

_FULL_MS = 20
"""The pty's input queue is full: when to look again."""
_INTERRUPT_KEY = b"\x03"


class Session:
    """`seat` is taken already. `screen` is what our terminal has been made like. `since` is the number of the last
    event of the process that is no news."""

    def __init__(
        self, name: str, seat: Seat, tail: follow.Tail, screen: Screen, keys: Hotkeys, *, since: int = 0
    ) -> None:
        self.name, self.seat, self.tail, self.screen, self.keys = name, seat, tail, screen, keys
        self._raw = raw.RawTerminal()
        self._writes = seat.master is not None
        self._refused = False
        """Whether it was said that keys do not reach the process."""
        self._holds = Holds(seat.process, self._notice, since=since)
        self._signals = Caught((signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT))
        self._paused = False
        """By us: we are suspended with it."""
        self._expires_s = 0.0

    @property
    def called(self) -> str:
        return f"{self.name} ({self.seat.process})"

    def run(self, first: bytes = b"", said: Sequence[str] = (), *, redraw: bool = False) -> ExitPart | None:
        """Until it has ended, or we have been detached (None). The terminal is left as it was found.

        `first` is shown first, and what is `said` behind it, where it does not scroll away. `redraw`: the program is
        to draw its screen again. Raises UnavailableError when our terminal goes away, or we are to end.
        """
        with self._signals, self._raw, follow.Growth() as growth, self._holds:
            growth.watch(self.tail.fd)
            try:
                self._come_in_front()
                self._write(first)
                self._notice(*said)
                self._fit(redraw=redraw)
                self._attend(growth)
            finally:
                if self.seat.end is None and self._raw.entered:
                    self._clear()
            while self.seat.end is not None and self._show():
                pass  # the daemon tells the end when the holder has copied the last of it
        return self.seat.end

    def _attend(self, growth: follow.Growth) -> None:
        signals = self._signals
        while self.seat.end is None:
            growth.clear()
            more = self._show()
            others = [self.seat.client.fileno(), signals.fileno(), *self._typing(), *self._holds.watched()]
            ready = follow.wait(growth, others, self._holds.sooner(self._due(more)))
            self._holds.look(ready)
            deed: Deed | None = None
            if signals.fileno() in ready:
                deed = self._signalled(signals.arrived())
            if 0 in ready:
                deed = self._type() or deed
            elif self.keys.begun and time.monotonic() >= self._expires_s:
                deed = self._pass_on(self.keys.give_up()) or deed
            if self.seat.master is not None:
                self.seat.master.write()
            if deed == "detach":
                return
            if deed == "suspend":
                self._suspend()
            elif self.seat.client.fileno() in ready or self.seat.client.buffered:
                self._told()

    def _typing(self) -> list[int]:
        """Our terminal, while there is room for what is typed, and we know where it goes."""
        master = self.seat.master
        if master is None:
            return [] if self.seat.write else [0]  # the lease has been asked for: the answer is on its way
        return [0] if len(master.typed) < follow.CHUNK_BYTES else []

    def _due(self, more: bool) -> int | None:
        if more:
            return 0
        if self.seat.master is not None and self.seat.master.typed:
            return _FULL_MS
        if self.keys.begun:
            return max(0, int((self._expires_s - time.monotonic()) * 1000) + 1)
        return None

    # --- from the process ---------------------------------------------------------------------------------------

    def _show(self) -> bool:
        """A piece of the log; whether there was one. Not all of it at once: who floods can still be interrupted."""
        data = self.tail.read()
        self.screen.feed(data)
        self._write(data)
        return bool(data)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(1, view) :]
        except OSError as error:
            raise self._gone() from error

    def _told(self) -> None:
        if not self.seat.arrived() or self.seat.end is not None:
            return
        if self.seat.master is not None:
            self._writes = True
            self._fit(redraw=self.screen.full)
        elif self._writes:
            self._writes, self._refused = False, False
            self._notice(f"{self.called}: {lost(self.seat.lease)}; `aish attach --take {self.name}` takes it back")

    def _notice(self, *texts: str) -> None:
        rows, columns = raw.size()
        self._write(notice(texts, full=self.screen.full, rows=rows, columns=columns))

    # --- from our side ------------------------------------------------------------------------------------------

    def _type(self) -> Deed | None:
        try:
            data = os.read(0, 4096)
        except OSError as error:
            raise self._gone() from error
        if not data:  # a raw terminal has no end of file: it was hung up
            raise self._gone()
        passed, deed = self.keys.feed(data)
        self._expires_s = time.monotonic() + PATIENCE_S
        return self._pass_on(passed) or deed

    def _pass_on(self, keys: bytes) -> Deed | None:
        """Keys for the process; what those among them mean that its terminal cannot obey."""
        master = self.seat.master
        if master is None:
            if _INTERRUPT_KEY in keys or SUSPEND_KEY in keys:
                return "detach" if _INTERRUPT_KEY in keys else "suspend"
            self._refuse(keys)
            return None
        stop = master.suspend_key()
        if stop and stop in keys and raw.shell_waits():
            master.typed += keys[: keys.index(stop)]
            return "suspend"
        master.typed += keys
        return None

    def _refuse(self, keys: bytes) -> None:
        """A viewer types. What begins with ESC may be the terminal's own answer, or its mouse: nobody typed it."""
        if not keys or (keys[:1] == b"\x1b" and len(keys) > 1):
            return
        self._write(b"\a")
        if not self._refused:
            self._refused = True
            self._notice(f"keys do not reach {self.called} from here: `aish attach --take {self.name}` types")

    def _signalled(self, numbers: bytes) -> Deed | None:
        self._end_by(numbers)
        if signal.SIGCONT in numbers:
            self._resume()
        if signal.SIGWINCH in numbers or signal.SIGCONT in numbers:
            self._fit(redraw=signal.SIGCONT in numbers)
        return "suspend" if signal.SIGTSTP in numbers else None

    def _end_by(self, numbers: bytes) -> None:
        if signal.SIGHUP in numbers:
            raise self._gone()
        if signal.SIGTERM in numbers:
            raise self._gone("ended by SIGTERM")

    def _come_in_front(self) -> None:
        """Have our terminal for us alone. In the background (`bg`) this stops us until we are in front."""
        while not self._raw.enter():
            numbers = self._signals.arrived()
            self._end_by(numbers)
            if signal.SIGCONT not in numbers:
                return  # the terminal is gone: who reads it is told

    def _fit(self, *, redraw: bool) -> None:
        """The program is told of a new size: our terminal, too, must be as if it had just been resized. It may not
        have been, when it is another one than the program drew for until now."""
        master = self.seat.master
        if master is None:
            return
        if redraw or not master.fits():
            self._write(self.screen.resized())
        master.fit(redraw=redraw)

    def _gone(self, why: str = "this terminal is going") -> UnavailableError:
        if self._paused:
            back = f"`aish cont {self.name}` lets it go on"
            return UnavailableError(
                f"{why}; {self.called} stays paused", hint=f"{back}, `aish stop {self.name}` ends it"
            )
        back = f"`aish attach {self.name}` comes back to it"
        return UnavailableError(f"{why}; {self.called} goes on", hint=f"{back}, `aish stop {self.name}` ends it")

    def _clear(self) -> None:
        """Give our terminal back as a fresh one."""
        try:
            self._write(self.screen.leave())
        except UnavailableError:
            pass  # nobody sees it any more

    # --- Ctrl-Z -------------------------------------------------------------------------------------------------

    def _suspend(self) -> None:
        """Pause the process and stop with it; at `fg` both go on. A viewer stops alone."""
        if not raw.shell_waits():
            self._write(b"\a")  # nobody would ever let us go on
            return
        writer = self.seat.master is not None
        self._clear()
        self._raw.leave()
        if writer and not self._ask(Pause(target=self.seat.process)):
            self._resume()
            return
        what = f"{self.called} is paused: fg or aish cont {self.name}" if writer else f"{self.called} goes on; fg"
        print(f"\n{clean(what)}", file=sys.stderr, flush=True)
        self.seat.leave()
        self._paused = writer
        raw.stop_group()
        self._end_by(self._signals.arrived())  # `kill` of a stopped job ends us, and lets nothing go on
        if writer:
            self._ask(Cont(target=self.seat.process))
        self._paused = False
        self._resume()
        self.seat.again()

    def _resume(self) -> None:
        self._come_in_front()
        self._write(self.screen.enter())

    def _ask(self, request: Pause | Cont) -> bool:
        """On a connection of its own. Ctrl-C ends the attachment meanwhile: our terminal is not raw."""
        try:
            with connect(program="attach") as control:
                done = control.request(request)
                self._holds.ours("paused" if isinstance(request, Pause) else "continued", done)
        except AishError as error:
            if error.code in ("not-found", "conflict"):
                return True  # it has just ended, or goes on already
            print(f"aish: {clean(str(error))}", file=sys.stderr, flush=True)
            return False
        return True


def lost(lease: str | None) -> str:
    """Why we are a viewer."""
    return f"{lease or 'another terminal'} has the lease to type, this one only shows"
