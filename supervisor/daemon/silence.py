"""Whether the holder answers. One that is stopped (SIGSTOP) or hangs keeps its connection, and says nothing.

Counted in turns of our own loop: while we are stopped ourselves nobody counts, so that a machine which stood still
blames nobody.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from aish.errors import UnavailableError
from aish.supervisor.daemon import proc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TURN_S: Final = 0.25
SILENT_S: Final = 2.0
"""It answers within a millisecond; on a machine that swaps within some hundred of them."""

T = TypeVar("T")


class Silence:
    """`pid` tells who the holder is, `waiting` whether an answer of it is outstanding; `ask` sends what it answers at
    once, whatever else it is at."""

    def __init__(self, pid: Callable[[], int], waiting: Callable[[], bool], ask: Callable[[], None]) -> None:
        self._pid, self._waiting, self._ask = pid, waiting, ask
        self.told: Callable[[str | None], None] = lambda why: None
        """Hears when it has become silent, and why; None: it answers again."""
        self.noticed = False
        """It has been silent for SILENT_S, and is still."""
        self._turns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def asked(self) -> None:
        """Something was sent that it is to answer."""
        if self._timer is None:
            self._timer = self._loop.call_later(TURN_S, self._turn)

    def heard(self) -> None:
        """It said something, or is not there any more: the next one is another."""
        self._turns = 0
        if self.noticed:
            self.noticed = False
            self.told(None)

    def why(self) -> str | None:
        """Why it cannot be asked now, and what to do, as a sentence; None where it can."""
        pid = self._pid()
        if pid and proc.state(pid) in "Tt":
            return f"the holder (pid {pid}) is stopped: `kill -CONT {pid}` lets it go on"
        if self.noticed:
            return f"the holder (pid {pid}) does not answer: it hangs, or the machine is overloaded"
        return None

    async def bounded(self, answer: Awaitable[T]) -> T:
        """What it answers. Raises UnavailableError where it is silent: what it was asked it does when it goes on."""
        task = asyncio.ensure_future(answer)
        try:
            while not (await asyncio.wait({task}, timeout=TURN_S))[0]:
                why = self.why()
                if why is not None:
                    raise UnavailableError(why)
            return task.result()
        finally:
            task.cancel()

    def _turn(self) -> None:
        self._timer = None
        if not self._waiting():
            self._turns = 0
            return
        self._turns += 1
        if self._turns == 1:  # what is outstanding may take its time (an exec on a slow disk); this does not
            self._ask()
        if self._turns * TURN_S >= SILENT_S and not self.noticed:
            self.noticed = True
            self.told(self.why())
        self._timer = self._loop.call_later(TURN_S, self._turn)
