"""When to start the daemon again: a pure clockwork. Times are monotonic seconds, given by the caller.

It is started at once when the holder starts, when a client asks, and when it dies. A daemon that dies before it
said hello has a fault that a restart does not mend: 0.1 s, doubled each time, up to 10 s. One that was at work is
started again immediately, but after 25 starts within 30 s only one a second. After `bye` it is left alone until
a client asks.
"""

from __future__ import annotations

FIRST_DELAY_S = 0.1
MOST_DELAY_S = 10.0
BURST = 25
BURST_S = 30.0
BURST_DELAY_S = 1.0


class Revival:
    """`due` is when to start it next; None: not now (it runs, or nobody wants it)."""

    __slots__ = ("_failures", "_greeted", "_starts", "due")

    def __init__(self) -> None:
        self.due: float | None = None
        self._failures = 0  # in a row, without a hello
        self._greeted = False
        self._starts: list[float] = []

    def wanted(self, now: float) -> None:
        """A client asks, or the holder has just started."""
        self.due = now

    def started(self, now: float) -> None:
        """It was started."""
        self.due = None
        self._greeted = False
        self._starts = [start for start in self._starts if now - start < BURST_S] + [now]

    def greeted(self) -> None:
        """It said hello as the controller."""
        self._greeted = True
        self._failures = 0

    def ended(self, now: float, *, said_bye: bool = False) -> None:
        """It died, or could not be started."""
        if said_bye:
            self.due = None
        elif not self._greeted:
            self._failures += 1
            self.due = now + min(MOST_DELAY_S, FIRST_DELAY_S * 2 ** min(self._failures - 1, 10))
        elif sum(now - start < BURST_S for start in self._starts) >= BURST:
            self.due = now + BURST_DELAY_S
        else:
            self.due = now
