"""Signals as bytes on a descriptor, so that they can be waited for beside sockets and files."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
"""Signals by which a person, or the system, wants this program to end."""
HANGS_S: Final = 0.5
"""What usually takes some ten milliseconds may take for ever when it takes longer than this."""


class ImpatientError(Exception):
    """It is to end, for the second time, and is blocked. Not for people: caught by who entered `Caught.blocked`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Caught:
    """While open, the given signals end nothing; `arrived` tells their numbers, `fileno` is readable when some came.

    Who does not look at `fileno` for a while says so by `blocked`. A signal that was ignored on entry (nohup, a
    background job of a shell without job control) stays ignored.
    """

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._numbers = tuple(numbers)
        self._blocked: Blocked | None = None
        self._stops_done = 0

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._before = {
            number: signal.signal(number, self._came)
            for number in self._numbers
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._read)
        os.close(self._write)

    def fileno(self) -> int:
        return self._read

    def arrived(self) -> bytes:
        """The numbers of the signals that came since the last call, in order; without stops that were obeyed."""
        try:
            came = os.read(self._read, 64)
        except BlockingIOError:
            return b""
        numbers = bytearray()
        for number in came:
            if number == signal.SIGTSTP and self._stops_done:
                self._stops_done -= 1
            elif number in self._numbers:  # SIGALRM is our own
                numbers.append(number)
        return bytes(numbers)

    def blocked(self, taken: bytes = b"", *, hangs_s: float = HANGS_S) -> Blocked:
        """For a `with` around what may hang. `taken`: signals that arrived before and are what it is about."""
        return Blocked(self, taken, hangs_s)

    def obeyed(self, stops: int) -> None:
        self._stops_done += stops

    def _came(self, number: int, frame: object) -> None:
        """A handler must be there for the wake-up descriptor to be written."""
        if self._blocked is not None:
            self._blocked.came(number)

    @property
    def is_blocked(self) -> bool:
        return self._blocked is not None

    def enter(self, blocked: Blocked | None) -> None:
        self._blocked = blocked


class Blocked:
    """Signals while nobody looks for them. All of them still arrive afterwards; but where it hangs, the second one
    that is to end the program raises ImpatientError, and a stop is obeyed at once (`stopped`)."""

    def __init__(self, caught: Caught, taken: bytes, hangs_s: float) -> None:
        self._caught = caught
        self._hangs_s = hangs_s
        self._ending = [number for number in taken if number in ENDING]
        self._stops = 0
        self._stop_taken = signal.SIGTSTP in taken
        self._hangs = False
        self.stopped = False

    def __enter__(self) -> Self:
        self._caught.enter(self)
        self._before = signal.signal(signal.SIGALRM, self._alarm)
        signal.setitimer(signal.ITIMER_REAL, self._hangs_s)
        return self

    def __exit__(self, *_: object) -> None:
        self._caught.enter(None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    def came(self, number: int) -> None:
        if number in ENDING:
            self._ending.append(number)
        elif number == signal.SIGTSTP:
            self._stops += 1
        if self._hangs:
            self._act()

    def _alarm(self, number: int, frame: object) -> None:
        self._hangs = True
        self._act()

    def _act(self) -> None:
        if not self._caught.is_blocked:  # the alarm came in the moment of the end
            return
        if len(self._ending) > 1:
            raise ImpatientError(self._ending[-1])
        if self._stops or self._stop_taken:
            self._caught.obeyed(self._stops)
            self._stops, self._stop_taken, self.stopped = 0, False, True
            os.kill(os.getpid(), signal.SIGSTOP)
