"""What is left of a process's tree when its leader has ended.

While it is being stopped the rest has the remainder of the grace: a server under a shell may need it to save its
work. When it ended by itself its end is told at once, and the rest gets the stop signal, a grace of its own, then
SIGKILL, behind everybody's back but noted as an event. Before it is started again nothing of it may be left.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

from aish.model.exit import Exit
from aish.supervisor.daemon import machine, proc
from aish.supervisor.daemon.parking import sentence
from aish.supervisor.daemon.verdict import parks, recurs

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aish.supervisor.daemon.conductor import Conductor
    from aish.supervisor.daemon.process import Process

FIRST_LOOK_S: Final = 0.005
SLOWEST_LOOK_S: Final = 0.1
KILLED_S: Final = 5.0
"""How long what was killed may take to be gone: after that it hangs in the kernel, and stays."""


class Remains:
    def __init__(self, conductor: Conductor) -> None:
        self.conductor = conductor
        self._tasks: set[asyncio.Task[None]] = set()

    def stop(self, process: Process) -> None:
        """It is stopping, and its leader has ended: the stop signal to who is left, and `Exited` when nobody is."""
        reach = self.conductor.reach
        reach.signal_rest(process.row, process.row.stop_signal)
        reach.freeze(process.row, False)
        self._begin(self._stopped(process))

    async def _stopped(self, process: Process) -> None:
        row = process.row
        await self._gone(process, None)
        if row.lifecycle != "stopping":
            return
        end = row.exit
        if recurs(row):
            self.conductor.apply(process, machine.Recurs())
        elif end is not None and parks(row, Exit(end.code, end.signal)):
            row.reason = sentence(row.barred) if row.barred is not None else row.reason
            self.conductor.apply(process, machine.Parks())
        elif end is None or Exit(end.code, end.signal).lost:
            self.conductor.apply(process, machine.Vanished())
        else:
            self.conductor.apply(process, machine.Exited())

    def kill(self, process: Process) -> None:
        """Nothing may be left, now: it is about to be started again."""
        self.conductor.reach.kill(process.row)

    def sweep(self, process: Process) -> None:
        """It has ended for good: end what it left behind, then give back its control groups."""
        if process.row.spec.argv:
            self._begin(self._sweep(process))
        else:
            self._let_go(process)

    def _let_go(self, process: Process) -> None:
        """Its captured environment: unless it has been started again meanwhile, nobody needs it any more."""
        if process.row.spec.project is not None:
            return  # `aish start` needs it again, as it was declared
        if process.row.ended and not process.row.again:
            process.launch = None
            self.conductor.launcher.files.drop(process.id)

    async def _sweep(self, process: Process) -> None:
        row, reach = process.row, self.conductor.reach
        swept = reach.swept(row)
        left = [] if swept else reach.rest(row)
        if left:
            self.conductor.recorder.event("left-behind", row, proc.named(left), count=len(left))
            if not self._capped(process, left):
                reach.signal_rest(row, row.spec.stop_signal)
                reach.freeze(row, False)
                reach.signal_rest(row, signal.SIGCONT)
            if not await self._gone(process, row.spec.grace_s):
                reach.kill(row)
                await self._gone(process, KILLED_S)
        await self.conductor.lives.after(process)
        self._let_go(process)
        if swept:
            return
        for wait_s in (0.0, 0.01, 0.1, 1.0):  # a group is busy for a moment after its last process has gone
            await asyncio.sleep(wait_s)
            if not row.ended or reach.forget(row):
                return

    async def _gone(self, process: Process, patience_s: float | None) -> bool:
        """Until nothing of it lives; False after `patience_s`."""
        loop = asyncio.get_running_loop()
        until = None if patience_s is None else loop.time() + patience_s
        look_s = FIRST_LOOK_S
        while left := self.conductor.reach.rest(process.row):
            self._capped(process, left)
            if until is not None and loop.time() > until:
                return False
            await asyncio.sleep(look_s)  # strangers to us by now: no event tells of their ends
            look_s = min(SLOWEST_LOOK_S, look_s * 1.5)
        return True

    def _capped(self, process: Process, left: list[int]) -> bool:
        """What multiplies on without its leader has no grace: False if it does not."""
        reach, limits = self.conductor.reach, process.row.spec.limits
        if limits is None or limits.pids is None or len(left) <= limits.pids or not reach.counts(process.row):
            return False
        reach.halt(process.row)
        reach.kill(process.row)
        return True

    async def done(self) -> None:
        """Until nothing is being swept any more: the end of this supervisor must not leave it to nobody."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
