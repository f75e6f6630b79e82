"""When to start the daemon again: a pure clockwork. Times are monotonic seconds, given by the caller.

It is started at once when the holder starts, when a client asks, and when it dies. One that ends before it said
hello, or by itself within 5 s of its start, has a fault that a restart does not mend: 0.1 s, doubled each time, up to
30 s, until one has lived longer. One that was at work, or was killed, is started again immediately, but after 25
starts within 30 s only one a second. After `bye` it is left alone until a client asks.
"""

from __future__ import annotations

import math

FIRST_DELAY_S = 0.1
MOST_DELAY_S = 30.0
STEADY_S = 5.0  # a daemon that lived this long did not end of its start
BURST = 25
BURST_S = 30.0
BURST_DELAY_S = 1.0


class Revival:
    """`due` is when to start it next; None: not now (it runs, or nobody wants it)."""

    __slots__ = ("_failures", "_greeted", "_started", "_starts", "due")

    def __init__(self) -> None:
        self.due: float | None = None
        self._failures = 0  # in a row, without a hello
        self._greeted = False
        self._started = -math.inf  # an earlier holder did: that is long ago
        self._starts: list[float] = []

    def wanted(self, now: float) -> None:
        """A client asks, or the holder has just started."""
        self.due = now

    def started(self, now: float) -> None:
        """It was started."""
        self.due = None
        self._greeted = False
        self._started = now
        self._starts = [start for start in self._starts if now - start < BURST_S] + [now]

    def greeted(self) -> None:
        """It said hello as the controller."""
        self._greeted = True

    def ended(self, now: float, *, said_bye: bool = False, killed: bool = False) -> None:
        """It died, or could not be started. `killed`: somebody else ended it, which is no fault of its own."""
        steady = self._greeted and now - self._started >= STEADY_S
        if steady:
            self._failures = 0
        if said_bye:
            self.due = None
        elif not self._greeted or not (steady or killed):
            self._failures += 1
            self.due = now + min(MOST_DELAY_S, FIRST_DELAY_S * 2 ** min(self._failures - 1, 10))
        elif sum(now - start < BURST_S for start in self._starts) >= BURST:
            self.due = now + BURST_DELAY_S
        else:
            self.due = now
