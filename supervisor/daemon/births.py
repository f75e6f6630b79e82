"""From 'starting' to 'running': the holder is asked, once per run, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING, Final

from aish.errors import AishError, DisconnectedError, UnavailableError
from aish.model import exit as exits
from aish.model.exit import Exit
from aish.model.state import STARTING, STOPPING
from aish.supervisor.daemon import clock, machine, ports, restart, verdict
from aish.supervisor.daemon.errands import BEFORE, ErrandError
from aish.supervisor.daemon.holding import Refusal
from aish.supervisor.daemon.launcher import why
from aish.supervisor.daemon.secret import SecretError
from aish.supervisor.daemon.sockets import SocketError
from aish.wire.part import ExitPart

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from aish.supervisor.daemon.conductor import Conductor
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row

STORAGE_WAIT_S: Final = 2.0
PATIENCE_S: Final = 30.0
"""How long who asks for a start waits for a holder that is silent."""
LOOK_S: Final = 0.5
FRESH_S: Final = 0.05
"""That the holder answers is not asked again so soon: the hook before a start, or a secret, may take their time."""
_FAILED: Final = Exit(1, None)


class Births:
    def __init__(self, conductor: Conductor) -> None:
        self.conductor = conductor
        self.under_way: set[asyncio.Task[None]] = set()
        """A process whose pid the holder tells in a reply that is still under way may already call us."""
        self._asking: dict[str, asyncio.Task[None]] = {}
        """Those that wait for the holder, by id."""
        self._given_up_for: dict[str, str] = {}
        self._loop = asyncio.get_running_loop()

    def begin(self, process: Process) -> None:
        self._task(self._launch(process))

    def ask(self, process: Process) -> None:
        """The holder has forked it for a daemon that died before it was told whether the exec happened."""
        self._task(self._ask(process))

    async def _launch(self, process: Process) -> None:
        if process.launching:
            return
        process.launching = True
        try:
            await self._launch_once(process)
        except asyncio.CancelledError:
            if process.id not in self._given_up_for:
                raise
        finally:
            process.launching = False
        why_not = self._given_up_for.pop(process.id, None)
        if why_not is not None:
            self._failed(process, UnavailableError(why_not))

    async def _launch_once(self, process: Process) -> None:
        conductor, row = self.conductor, process.row
        launcher, recorder = conductor.launcher, conductor.recorder
        if not row.spec.argv:  # a model elsewhere: there is nothing to run
            row.started_s = time.time()
            conductor.apply(process, machine.Spawned())
            return
        try:
            if ports.wants_port(row.spec) and row.port is None:
                row.port = launcher.leases.lease(row.port_before)
            row.preparing = bool(row.spec.before or row.spec.secret_sources or row.spec.after)
            if _written_first(row):
                # The next daemon must know device and port. And while the holder keeps the exit of the run before,
                # it would take this spawn for that one.
                recorder.change(row)
                if not self._written(process):
                    return
                conductor.send_acks()
            if not await self._answering(process):
                return
            answered_s = self._loop.time()
            await conductor.lives.prepare(process)
            secrets = await conductor.lives.secrets.fetch(process)
            if row.lifecycle != STARTING:
                self._given_up(process)
                return
            if row.preparing:
                row.preparing = False
                recorder.change(row)
                conductor.lives.errands.settled(process, BEFORE)
                if not self._written(process):
                    return
            if self._loop.time() > answered_s + FRESH_S and not await self._answering(process):
                return
            with self._asks(process):
                birth = await launcher.start(process, secrets)
        except DisconnectedError:
            return  # started or not: the next holder's list tells
        except (Refusal, AishError, OSError) as error:
            self._failed(process, error)
        else:
            conductor.spawned(process, birth)

    def _written(self, process: Process) -> bool:
        """Whether the next daemon will know of this start; False: it waits for the disk."""
        recorder = self.conductor.recorder
        if recorder.flush():
            self._waits(process, None)
            return True
        self._waits(process, f"the process table cannot be written: {recorder.failure}")
        process.launch_timer = self._loop.call_later(STORAGE_WAIT_S, self._again, process)
        return False

    def _again(self, process: Process) -> None:
        """The disk may be back. Nobody has started it so far."""
        process.launch_timer = None
        row = process.row
        if row.lifecycle == STARTING:
            self.begin(process)
        else:
            self._given_up(process)

    def _given_up(self, process: Process) -> None:
        """It was stopped before anything ran of it."""
        row = process.row
        self.conductor.lives.errands.settled(process, BEFORE)
        if row.lifecycle == STOPPING:
            self.conductor.never_begun(process)

    # --- a holder that is silent --------------------------------------------------------------------------------

    async def _answering(self, process: Process) -> bool:
        """Until the holder answers; False where the start was given up meanwhile.

        To a holder that is stopped none is sent: what is under way to it cannot be had back, and descriptors of a
        pipe that are under way keep it open."""
        holding = self.conductor.holding
        silent = holding.silence.why()
        if silent is not None or not holding.connected:
            self._waits(process, silent)
            with self._asks(process):
                await holding.reachable()
                await holding.request("ack", ids=[])
            self._waits(process, None)
        if process.row.lifecycle == STARTING:
            return True
        self._given_up(process)
        return False

    @contextlib.contextmanager
    def _asks(self, process: Process) -> Iterator[None]:
        task: asyncio.Task[None] | None = asyncio.current_task()
        assert task is not None
        self._asking[process.id] = task
        try:
            yield
        finally:
            del self._asking[process.id]

    def _waits(self, process: Process, reason: str | None) -> None:
        """Why it is not started yet, for who looks at it; None: it is about to be."""
        if process.row.lifecycle == STARTING and process.row.reason != reason:
            process.row.reason = reason
            self.conductor.changed(process)

    def silent(self, why: str | None) -> None:
        """The holder has become silent, and why; None: it answers again."""
        for process in self.conductor.table.alive():
            self._waits(process, why)
            if why is not None and process.row.lifecycle == STOPPING:
                self.give_up(process, why)

    def give_up(self, process: Process, why: str) -> bool:
        """It is not started, now or later, since the holder is silent. False: it may have been started."""
        task = self._asking.get(process.id)
        if task is None or not self.conductor.holding.take_back(process.id):
            return False
        self._given_up_for[process.id] = why
        task.cancel()
        return True

    def stopped(self, process: Process) -> None:
        """Somebody wants it to end: who waits for the disk or a silent holder need not be started first."""
        if process.launch_timer is not None:
            process.launch_timer.cancel()
            self._again(process)
            return
        silent = self.conductor.holding.silence.why()
        if silent is not None and process.row.lifecycle == STOPPING:
            self.give_up(process, silent)

    async def change(self, process: Process, due_s: float) -> str | None:
        """For who waits for its start: until its next change (None), or until the holder is silent at `due_s` or
        later, and why. A hook before the start may take its time."""
        silence = self.conductor.holding.silence
        while True:
            try:
                async with asyncio.timeout_at(due_s):
                    await process.change()
                    return None
            except TimeoutError:
                silent = silence.why()
                if silent is not None and silence.noticed:
                    return silent
                due_s = self._loop.time() + LOOK_S

    # --- what became of it --------------------------------------------------------------------------------------

    async def _ask(self, process: Process) -> None:
        row = process.row
        try:
            birth = await self.conductor.holding.birth(process.id)
        except DisconnectedError:
            return  # the next holder's list tells
        except Refusal as error:
            self._failed(process, error)
            return
        if birth is not None:
            self.conductor.spawned(process, birth)
        elif row.pid is None and not row.ended:
            row.reason = "it could not be started; why was told to a daemon that died"
            row.exit = ExitPart(reason=exits.START)
            self.conductor.not_started(process)

    def _failed(self, process: Process, error: Exception) -> None:
        self.conductor.lives.errands.settled(process, BEFORE)
        if process.row.lifecycle == STOPPING:
            self._given_up(process)
            return
        row = process.row
        match error:
            case ErrandError():
                self._not_prepared(process, str(error), exits.HOOK)
            case SecretError():
                self._not_prepared(process, str(error), exits.SECRET)
            case SocketError():
                self._not_prepared(process, str(error), exits.START)
            case _:
                row.reason, row.exit = why(error), ExitPart(reason=exits.START)
                self.conductor.not_started(process)

    def _not_prepared(self, process: Process, reason: str, word: str) -> None:
        """What another moment may mend: its restart policy decides, as about a run that failed."""
        row = process.row
        row.reason, row.exit = reason, ExitPart(reason=word)
        self.conductor.recorder.event("start-failed", row, reason)
        match verdict.again(row, _FAILED, None, clock.boot_s(), random.random()):
            case restart.Again(delay_s):
                self.conductor.apply(process, machine.Ended(delay_s))
            case restart.Loop(count, within_s):
                row.reason = f"{reason} ({count} restarts within {within_s:.0f} s: it is not started again)"
                row.exit = ExitPart(reason=exits.CRASH_LOOP)
                self.conductor.apply(process, machine.Recurs() if verdict.recurs(row) else machine.Looped())
            case restart.Stay():
                self.conductor.not_started(process)

    def _task(self, work: Coroutine[object, object, None]) -> None:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)


def _written_first(row: Row) -> bool:
    """Whether the next daemon must know that it is being started: its device and port; that it waits for nobody any
    more; and that the exit of the run before, which the holder may still have, is not of this one."""
    spec = row.spec
    waited = bool(spec.needs) or spec.group is not None or spec.schedule is not None
    return bool(row.before or row.restarts or row.gpus or waited or row.preparing) or row.port is not None
