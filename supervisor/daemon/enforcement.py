"""What follows when a process is over a quota that the kernel does not hold: VRAM, memory, processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.model import exit as exits
from aish.model.size import format_bytes
from aish.model.state import MEMORY, RUNNING
from aish.supervisor.daemon import memory, watchdog
from aish.supervisor.daemon.forks import Forks

if TYPE_CHECKING:
    from aish.supervisor.daemon.conductor import Conductor
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.table import Table


class Enforcement:
    def __init__(self, table: Table, conductor: Conductor) -> None:
        self.table, self.conductor = table, conductor
        self.reach, self.recorder = conductor.reach, conductor.recorder
        self.forks = Forks(self.counts, self.pids)

    def vram(self, process: Process, decision: watchdog.Decision) -> None:
        row = process.row
        match decision:
            case watchdog.Warn(uuid, used, quota):
                text = "it uses more VRAM than its quota"
                self.recorder.event("quota-warned", row, text, gpu=uuid, used_bytes=used, quota_bytes=quota)
            case watchdog.StopIt(uuid, used, quota) if row.lifecycle == RUNNING:
                row.reason = str(decision)
                self.recorder.event("quota", row, str(decision), gpu=uuid, used_bytes=used, quota_bytes=quota)
                self.conductor.stop(process, None, exits.QUOTA)
            case _:
                pass

    def watches(self, process: Process) -> bool:
        """Whether its memory has to be looked at again and again."""
        limits = process.row.spec.limits
        if limits is None or limits.memory_bytes is None or process.row.lifecycle != RUNNING:
            return False
        return limits.on_oom == "hold" or not self.reach.holds(process.row, "memory")

    def look(self) -> None:
        """After each sample."""
        for process in self.table.alive():
            if self.watches(process):
                self._memory(process)

    def counts(self, process: Process) -> bool:
        """Whether nothing but counting holds its limit of processes now."""
        return process.row.lifecycle == RUNNING and self.reach.counts(process.row)

    def pids(self, process: Process) -> None:
        """Count it, and end it above its limit."""
        row = process.row
        assert row.spec.limits is not None
        count, most = self.reach.count(row), row.spec.limits.pids
        if most is None or count <= most:
            return
        self.reach.halt(row)
        row.reason = f"{count} processes and threads, of at most {most}"
        self.recorder.event("pids", row, row.reason, count=count, limit=most)
        self.conductor.stop(process, 0.0, exits.PIDS)

    def run_over(self, process: Process) -> None:
        """A run of it has ended: that it could not fork at its limit of processes is noted, as it may be why."""
        row, count = process.row, self.reach.forks_refused(process)
        most = row.spec.limits.pids if row.spec.limits is not None else None
        if not count or most is None:
            return
        process.forks_refused += count
        times = "once" if count == 1 else f"{count} times"
        text = f"{times} it could not fork at its limit of {most} processes and threads"
        self.recorder.event("forks-refused", row, text, count=count, limit=most)

    def _memory(self, process: Process) -> None:
        row = process.row
        limits = row.spec.limits
        assert limits is not None
        assert limits.memory_bytes is not None
        enforced = self.reach.holds(row, "memory")
        decision = memory.decide(
            limits.memory_bytes,
            limits.on_oom,
            enforced=enforced,
            stalled=enforced and self.reach.groups.stalled(row.id),
            used_bytes=process.usage.rss_bytes,
            held=MEMORY in row.holds,
        )
        most = format_bytes(limits.memory_bytes)
        match decision:
            case memory.HoldIt(used_bytes):
                row.reason = f"out of memory: it is held at its limit of {most}; `aish limit {row.name} memory=+1G`"
                self.recorder.event("oom", row, row.reason, used_bytes=used_bytes, limit_bytes=limits.memory_bytes)
                self.conductor.hold(process, MEMORY, "put")
            case memory.EndIt(used_bytes):
                row.reason = f"out of memory: used {format_bytes(used_bytes)}, its limit is {most}"
                self.recorder.event("oom", row, row.reason, used_bytes=used_bytes, limit_bytes=limits.memory_bytes)
                self.conductor.stop(process, 0.0, exits.OOM)
            case memory.Fine():
                pass

    def memory_raised(self, process: Process) -> None:
        """Its limit was changed: who was held for it goes on, and is held again if that was not enough."""
        if MEMORY in process.row.holds:
            process.row.reason = None
            self.conductor.hold(process, MEMORY, "lift")
