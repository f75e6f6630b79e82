"""Whether the holder answers. One that is stopped (SIGSTOP) or hangs keeps its connection, and says nothing; where it
has died another one is there within milliseconds, if its keeper is not stopped itself.

Counted in turns of our own loop: while we are stopped ourselves nobody counts, so that a machine which stood still
blames nobody.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from aish.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aish.supervisor.daemon.standing import Standing

TURN_S: Final = 0.25
SILENT_S: Final = 2.0
"""It answers within a millisecond; on a machine that swaps within some hundred of them."""

T = TypeVar("T")


class Silence:
    """`connected` tells whether there is a holder, `waiting` whether something of it is outstanding, a connection
    included; `ask` sends what it answers at once, whatever else it is at."""

    def __init__(
        self,
        standing: Standing,
        connected: Callable[[], bool],
        waiting: Callable[[], bool],
        ask: Callable[[], None],
    ) -> None:
        self._standing, self._connected, self._waiting, self._ask = standing, connected, waiting, ask
        self.told: Callable[[str | None], None] = lambda why: None
        """Hears when it has become silent, and why, also when that is another; None: it answers again."""
        self.noticed = False
        """It has been silent for SILENT_S, and is still."""
        self._why: str | None = None
        self._turns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def asked(self) -> None:
        """Something was sent that it is to answer, or it is looked for."""
        if self._timer is None:
            self._timer = self._loop.call_later(TURN_S, self._turn)

    def heard(self) -> None:
        """It said something."""
        self._turns = 0
        if self.noticed:
            self.noticed, self._why = False, None
            self.told(None)

    def cut(self) -> None:
        """The connection is gone: whether there will be another, nobody has said yet."""
        self._turns = 0

    def why(self) -> str | None:
        """Why it cannot be asked now, and what to do, as a sentence; None where it can."""
        blamed = self._standing.blamed(connected=self._connected())
        if blamed is not None or not self.noticed:
            return blamed
        return self._standing.hangs(connected=self._connected())

    def behind(self) -> str | None:
        """Why it cannot do what it asks its keeper for, whatever else it does."""
        return self.why() or self._standing.keeper_stopped()

    async def bounded(self, answer: Awaitable[T], *, by_keeper: bool = False, hint: str | None = None) -> T:
        """What it answers; `by_keeper`: it may have to ask that. Raises UnavailableError, with `hint`, where one of
        them is silent: what it was asked it does when it goes on."""
        task = asyncio.ensure_future(answer)
        try:
            while not (await asyncio.wait({task}, timeout=TURN_S))[0]:
                why = self.behind() if by_keeper else self.why()
                if why is not None:
                    raise UnavailableError(why, hint=hint)
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
        if self._turns * TURN_S >= SILENT_S:
            self.noticed = True
            why = self.why()
            if why != self._why:
                self._why = why
                self.told(why)
        self._timer = self._loop.call_later(TURN_S, self._turn)
