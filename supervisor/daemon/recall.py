"""Feeds the ring: what the machine looks like, every few seconds while something is supervised, and at sudden ends.

Where the sampler ticks anyway its ticks are used; else a slow timer. With nothing supervised nothing wakes up.
"""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Final

from aish.model import kind
from aish.supervisor.daemon import proc
from aish.supervisor.daemon.ring import Ring, Sample, Stranger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aish.model.exit import Exit
    from aish.supervisor.daemon.gpus import Gpus
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.reach import Reach
    from aish.supervisor.daemon.recorder import Recorder
    from aish.supervisor.daemon.table import Table

EVERY_S: Final = 5.0
BEFORE_S: Final = 12.0
"""How long before an end the machine's out-of-memory kills are counted as near it: two rounds of the timer."""
FRESH_S: Final = 0.1
"""Of many sudden ends at once the first one looks."""


class Recall:
    """`owners` maps pids to ids, as last swept."""

    def __init__(
        self, table: Table, gpus: Gpus, reach: Reach, recorder: Recorder, owners: Callable[[], Mapping[int, str]]
    ) -> None:
        self.table, self.gpus, self.reach, self.recorder = table, gpus, reach, recorder
        self.owners = owners
        self.ring = Ring()
        self.since_s = time.time()
        """From when on this daemon knows what the machine looked like."""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def began(self) -> None:
        """Something runs: often, so that nothing is counted where the timer goes already."""
        if self._timer is None:
            self.schedule()

    def schedule(self) -> None:
        """Go on as long as something is supervised. Called when that may have changed."""
        wanted = any(process.row.spec.kind != kind.SYSTEM for process in self.table.alive())
        if wanted and self._timer is None:
            self.look()
            self._timer = self._loop.call_later(EVERY_S, self._tick)
        elif not wanted and self._timer is not None:
            self.close()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        self.schedule()

    def look(self) -> None:
        """A sample, unless there is one of just now."""
        now_s = time.time()
        if self.ring.due(now_s):
            self.ring.add(self._sample(now_s))

    def struck(self, process: Process, end: Exit) -> None:
        """It was ended by SIGKILL and nobody asked us to: how the machine is now is noted for whoever asks later."""
        if end.signal != signal.SIGKILL:
            return
        now_s = time.time()
        before, now = self.ring.first_since(now_s - BEFORE_S), self.ring.last()
        if now is None or not 0 <= now_s - now.time_s < FRESH_S:
            now = self._sample(now_s)
            self.ring.add(now)
        kills = None
        if before is not None and before.oom_kills is not None and now.oom_kills is not None:
            at_limits = now.killed_at_limits - before.killed_at_limits  # the machine counts these, too
            kills = max(0, now.oom_kills - before.oom_kills - at_limits)
        group = self.reach.groups.oom_kills(process.id)
        self.recorder.event(
            "struck",
            process.row,
            "SIGKILL that was not sent through aish",
            group_oom_kills=group - process.oom_kills if group is not None else None,
            machine_oom_kills=kills,
            memory_used_bytes=now.memory_used_bytes,
            memory_total_bytes=now.memory_total_bytes,
            memory_stalled_percent=now.memory_stalled_percent,
        )

    def _sample(self, now_s: float) -> Sample:
        memory = proc.parse_memory(proc.read_text("/proc/meminfo") or "") or (None, None)
        return Sample(
            time_s=now_s,
            memory_used_bytes=memory[0],
            memory_total_bytes=memory[1],
            memory_stalled_percent=_stalled("memory"),
            cpu_stalled_percent=_stalled("cpu"),
            io_stalled_percent=_stalled("io"),
            oom_kills=proc.parse_oom_kills(proc.read_text("/proc/vmstat") or ""),
            killed_at_limits=self.reach.killed_at_limits(),
            strangers=tuple(self._strangers()),
            throttled=self._throttled(),
        )

    def _strangers(self) -> list[Stranger]:
        if not self.gpus.started:
            return []
        owners = self.owners()
        indexes = {device.uuid: device.index for _, device in self.gpus.devices()}
        return [
            Stranger(indexes[uuid], entry.pid, entry.vram_bytes)
            for uuid, sample in self.gpus.samples().items()
            for entry in sample.processes
            if uuid in indexes and entry.pid not in owners
        ]

    def _throttled(self) -> dict[str, int]:
        found = {}
        for process in self.table.alive():
            limits = process.row.spec.limits
            if limits is not None and limits.cpus is not None and process.row.pid is not None:
                count = self.reach.groups.throttled(process.id)
                if count is not None:
                    found[process.id] = count
        return found


def _stalled(what: str) -> float | None:
    text = proc.read_text(f"/proc/pressure/{what}")
    return proc.parse_pressure(text) if text is not None else None
