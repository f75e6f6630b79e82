"""Time in which this daemon could hear and see: what it stood still for does not count.

It may be stopped (SIGSTOP), frozen with the whole machine, or held up by a slow disk; those that it looks after may
have stood still with it, and what they said meanwhile lies unread. So who is silent, and what takes too long, is
measured by this clock. It goes by ticks, which there are only while somebody needs it: one that comes late tells of a
standstill, and counts as one, however long that was.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

TICKS_WITHIN: Final = 8
"""A standstill that is not noticed is shorter than two of them: a quarter of what is waited for."""
SHORTEST_S: Final = 0.05
LONGEST_S: Final = 0.5


class Vigil:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._needs: dict[object, float] = {}
        self._tick_s = LONGEST_S
        self._timer: asyncio.TimerHandle | None = None
        self._seen_s = loop.time()
        self._awake_s = 0.0
        self._standstills = 0

    def need(self, who: object, within_s: float) -> None:
        """It goes on from here, finely enough to measure `within_s`."""
        self._look()
        self._needs[who] = within_s
        if self._timer is None or _tick_s(within_s) < self._tick_s:
            self._pace()

    def let_go(self, who: object) -> None:
        self._look()
        self._needs.pop(who, None)
        if not self._needs and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def now_s(self) -> float:
        """Of use only beside another reading, and while it is needed."""
        self._look()
        return self._awake_s

    def standstills(self) -> int:
        """How many there were. Who waited for something, and sees another number now, does not know for how long."""
        self._look()
        return self._standstills

    async def within(self, future: asyncio.Future[T], most_s: float) -> T:
        """Its result. Raises TimeoutError when it has taken `most_s` in which we were there to see it."""
        who = object()
        self.need(who, most_s)
        try:
            begun_s = self.now_s()
            while not future.done():
                left_s = begun_s + most_s - self.now_s()
                if left_s <= 0.0:
                    raise TimeoutError
                await asyncio.wait({future}, timeout=left_s)
            return future.result()
        finally:
            self.let_go(who)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Reminder:
        return Reminder(self, self._loop, delay_s, call)

    def _pace(self) -> None:
        """The ticks that the most impatient needs."""
        if self._timer is not None:
            self._timer.cancel()
        self._tick_s = _tick_s(min(self._needs.values()))
        self._timer = self._loop.call_later(self._tick_s, self._tick)

    def _tick(self) -> None:
        self._look()
        self._pace()

    def _look(self) -> None:
        now_s = self._loop.time()
        gone_s, self._seen_s = now_s - self._seen_s, now_s
        if not self._needs:
            return
        if gone_s > 2 * self._tick_s:
            self._standstills += 1
            gone_s = self._tick_s
        self._awake_s += gone_s


class Reminder:
    """A call when so much time has gone by in which we were there. As asyncio.TimerHandle, as far as it is needed."""

    __slots__ = ("_call", "_due_s", "_loop", "_timer", "_vigil")

    def __init__(
        self, vigil: Vigil, loop: asyncio.AbstractEventLoop, delay_s: float, call: Callable[[], None]
    ) -> None:
        self._vigil, self._loop, self._call = vigil, loop, call
        vigil.need(self, delay_s)
        self._due_s = vigil.now_s() + delay_s
        self._timer = loop.call_later(delay_s, self._due)

    def left_s(self) -> float:
        return self._due_s - self._vigil.now_s()

    def cancel(self) -> None:
        self._timer.cancel()
        self._vigil.let_go(self)

    def _due(self) -> None:
        left_s = self.left_s()
        if left_s > 0.0:
            self._timer = self._loop.call_later(left_s, self._due)
            return
        self._vigil.let_go(self)
        self._call()


def _tick_s(within_s: float) -> float:
    return min(LONGEST_S, max(SHORTEST_S, within_s / TICKS_WITHIN))
