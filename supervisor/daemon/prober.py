"""Whether processes are ready, and go on doing their job: each looked at in its own rhythm, by what its spec says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aish.model import kind
from aish.model.state import RUNNING, YES
from aish.supervisor.daemon.errands import UnaskedError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aish.supervisor.daemon.conductor import Conductor
    from aish.supervisor.daemon.probe import Probes
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.vigil import Vigil
    from aish.wire.spec import ProbePart

LINE_EVERY_S: Final = 0.1
"""A log is looked at more often than a server is asked: it costs nobody anything."""
LEAST_S: Final = 0.01


class Prober:
    """While nothing is asked there is a timer for a process, and no task: of those there may be thousands."""

    def __init__(self, conductor: Conductor, probes: Probes, vigil: Vigil) -> None:
        self.conductor, self.probes, self.vigil = conductor, probes, vigil
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        """In a row, of those whose life was in doubt."""

    def began(self, process: Process) -> None:
        """It runs, from now on or for a daemon before."""
        spec = process.row.spec
        self.ended(process)
        told = spec.ready is not None or spec.kind == kind.MODEL  # else it is ready when it runs
        asked = spec.ready is not None or spec.live is not None or spec.start_timeout_s is not None
        if told and asked and process.row.ready != YES:
            self._begin(process, self._look_after(process))
        else:
            self._watch(process)

    def ended(self, process: Process) -> None:
        self._failures.pop(process.id, None)
        self.vigil.let_go(process.id)
        task, timer = self._tasks.pop(process.id, None), self._timers.pop(process.id, None)
        if task is not None:
            task.cancel()
        if timer is not None:
            timer.cancel()

    def _begin(self, process: Process, work: Coroutine[object, object, None]) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks[process.id] = task
        task.add_done_callback(lambda done: self._done(process.id, done))

    def _done(self, id_: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(id_) is task:
            del self._tasks[id_]
        if not task.cancelled() and (error := task.exception()) is not None:
            name = type(error).__name__
            self.conductor.recorder.event("fault", text=f"{name} while {id_} was looked at: please report this")

    async def _look_after(self, process: Process) -> None:
        ready = await self._await_ready(process)
        self.vigil.let_go(process.id)
        if ready:
            self._watch(process)

    def _watch(self, process: Process) -> None:
        """It is ready: does it go on?"""
        live = process.row.spec.live
        if live is not None and live.notify:
            self.vigil.need(process.id, live.timeout_s)
            now_s = self.vigil.now_s()
            if process.watchdog_s is None:
                process.watchdog_s = now_s
            left_s = max(LEAST_S, process.watchdog_s + live.timeout_s - now_s)
            self._timers[process.id] = self._loop.call_later(left_s, self._words_due, process, live)
        elif live is not None:
            self._timers[process.id] = self._loop.call_later(live.every_s, self._life_due, process, live)

    async def _await_ready(self, process: Process) -> bool:
        """Until it is ready; False if it was given up."""
        vigil, spec = self.vigil, process.row.spec
        if spec.start_timeout_s is not None:
            vigil.need(process.id, spec.start_timeout_s)
            process.start_due_s = vigil.now_s() + spec.start_timeout_s
        why = None
        while True:
            if _is_ready(process):  # it told so itself, or the gateway found out
                return True
            if spec.ready is not None and not spec.ready.notify:
                try:
                    why = await self.probes.ask(process, spec.ready, "ready")
                except UnaskedError as error:
                    why = str(error)
                if why is None:
                    process.doing = None  # what it was not ready for
                    self.conductor.readiness(process, "probe-yes")
                    self.conductor.recorder.event("ready", process.row)
                    return True
            late = process.start_due_s is not None and vigil.now_s() > process.start_due_s
            if late and not self._unknown(process, spec.ready) and not _is_ready(process):
                told = f": {why}" if why else ""
                self.conductor.lives.unhealthy(process, f"it was not ready within {spec.start_timeout_s:g} s{told}")
                return False
            if why is not None:
                process.doing = f"not ready: {why}"
            await asyncio.sleep(_every_s(spec.ready))

    def _life_due(self, process: Process, live: ProbePart) -> None:
        self._timers.pop(process.id, None)
        if process.row.lifecycle != RUNNING:
            return
        if process.row.holds:
            self._watch(process)  # one that stands still cannot answer
        else:
            self._begin(process, self._ask_life(process, live))

    async def _ask_life(self, process: Process, live: ProbePart) -> None:
        asking = object()
        self.vigil.need(asking, live.timeout_s)
        standstills = self.vigil.standstills()
        try:
            why = await self.probes.ask(process, live, "live")
            if why is not None and self.vigil.standstills() != standstills:
                raise UnaskedError("who asked stood still meanwhile")
        except UnaskedError:  # it is asked next time: a process is not ill because nobody could look at it
            self._watch(process)
            return
        finally:
            self.vigil.let_go(asking)
        if why is None:
            self._failures.pop(process.id, None)
        else:
            failures = self._failures[process.id] = self._failures.get(process.id, 0) + 1
            if failures >= live.failures:
                times = f"{failures} times in a row" if failures > 1 else "now"
                self.conductor.lives.unhealthy(process, f"its probe failed {times}: {why}")
                return
        if process.row.lifecycle == RUNNING:
            self._watch(process)

    def _words_due(self, process: Process, live: ProbePart) -> None:
        """WATCHDOG=1 must come within every `timeout_s`."""
        self._timers.pop(process.id, None)
        if process.row.lifecycle != RUNNING:
            return
        if process.row.holds or self._unknown(process, live):
            process.watchdog_s = self.vigil.now_s()
        elif self.vigil.now_s() > (process.watchdog_s or 0.0) + live.timeout_s:
            self.conductor.lives.unhealthy(process, f"it did not say WATCHDOG=1 for {live.timeout_s:g} s")
            return
        self._watch(process)

    def _unknown(self, process: Process, probe: ProbePart | None) -> bool:
        """Whether its silence means nothing: what it said may be lost. What waits to be heard is heard first."""
        if probe is None or not probe.notify:
            return False
        self.conductor.lives.notices.hear(process)
        return process.row.unheard


def _is_ready(process: Process) -> bool:
    return process.row.ready == YES


def _every_s(probe: ProbePart | None) -> float:
    if probe is None or probe.pattern is not None or probe.notify:
        return LINE_EVERY_S
    return probe.every_s
