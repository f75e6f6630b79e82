"""Whether processes are ready, and go on doing their job: each looked at in its own rhythm, by what its spec says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aish.model import kind
from aish.model.state import RUNNING, YES

if TYPE_CHECKING:
    from aish.supervisor.daemon.conductor import Conductor
    from aish.supervisor.daemon.probe import Probes
    from aish.supervisor.daemon.process import Process
    from aish.wire.spec import ProbePart

LINE_EVERY_S: Final = 0.1
"""A log is looked at more often than a server is asked: it costs nobody anything."""


class Prober:
    def __init__(self, conductor: Conductor, probes: Probes) -> None:
        self.conductor, self.probes = conductor, probes
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def began(self, process: Process) -> None:
        """It runs, from now on or for a daemon before."""
        spec = process.row.spec
        if spec.ready is None and spec.live is None and spec.start_timeout_s is None:
            return
        self.ended(process)
        task = asyncio.ensure_future(self._look_after(process))
        self._tasks[process.id] = task
        task.add_done_callback(lambda done: self._done(process.id, done))

    def ended(self, process: Process) -> None:
        task = self._tasks.pop(process.id, None)
        if task is not None:
            task.cancel()

    def _done(self, id_: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(id_) is task:
            del self._tasks[id_]

    async def _look_after(self, process: Process) -> None:
        spec = process.row.spec
        told = spec.ready is not None or spec.kind == kind.MODEL  # else it is ready when it runs
        if told and process.row.ready != YES and not await self._await_ready(process):
            return
        if spec.live is not None and not spec.live.notify:
            await self._watch_life(process, spec.live)
        elif spec.live is not None:
            await self._watch_words(process, spec.live)

    async def _await_ready(self, process: Process) -> bool:
        """Until it is ready; False if it was given up."""
        loop, spec = asyncio.get_running_loop(), process.row.spec
        process.start_due_s = loop.time() + spec.start_timeout_s if spec.start_timeout_s is not None else None
        why = None
        while True:
            if process.row.ready == YES:  # it told so itself, or the gateway found out
                return True
            if spec.ready is not None and not spec.ready.notify:
                why = await self.probes.ask(process, spec.ready, "ready")
                if why is None:
                    process.doing = None  # what it was not ready for
                    self.conductor.readiness(process, "probe-yes")
                    self.conductor.recorder.event("ready", process.row)
                    return True
            if process.start_due_s is not None and loop.time() > process.start_due_s:
                told = f": {why}" if why else ""
                self.conductor.lives.unhealthy(process, f"it was not ready within {spec.start_timeout_s:g} s{told}")
                return False
            process.doing = f"not ready: {why}" if why else None
            await asyncio.sleep(_every_s(spec.ready))

    async def _watch_life(self, process: Process, probe: ProbePart) -> None:
        failures = 0
        while process.row.lifecycle == RUNNING:
            await asyncio.sleep(probe.every_s)
            if process.row.holds:
                continue  # one that stands still cannot answer
            why = await self.probes.ask(process, probe, "live")
            failures = 0 if why is None else failures + 1
            if failures >= probe.failures:
                times = f"{failures} times in a row" if failures > 1 else "now"
                self.conductor.lives.unhealthy(process, f"its probe failed {times}: {why}")
                return

    async def _watch_words(self, process: Process, probe: ProbePart) -> None:
        """WATCHDOG=1 must come within every `timeout_s`."""
        loop = asyncio.get_running_loop()
        process.watchdog_s = process.watchdog_s or loop.time()
        while process.row.lifecycle == RUNNING:
            await asyncio.sleep(max(0.01, process.watchdog_s + probe.timeout_s - loop.time()))
            if process.row.holds:
                process.watchdog_s = loop.time()
            elif loop.time() > process.watchdog_s + probe.timeout_s:
                self.conductor.lives.unhealthy(process, f"it did not say WATCHDOG=1 for {probe.timeout_s:g} s")
                return


def _every_s(probe: ProbePart | None) -> float:
    if probe is None or probe.pattern is not None or probe.notify:
        return LINE_EVERY_S
    return probe.every_s
