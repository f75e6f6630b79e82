"""What processes use, read from /proc once a second while somebody looks or a GPU quota has to be watched.

A sweep walks down from the holder by the kernel's lists of children, so it costs what our own processes cost and
nothing for strangers; where most of the machine's processes are ours, one look at all of them is less than half the
work. A process belongs to the supervised one above it, else to that of its session, else to the
one it belonged to before it lost its parents. /proc/PID/stat is held open from sweep to sweep.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING, Final

from aish.model.usage import Usage
from aish.supervisor.daemon import ledger, proc, watchdog
from aish.supervisor.daemon.proc import Machine, ProcStat
from aish.supervisor.daemon.tags import everybody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aish.supervisor.daemon.gpus import Gpus
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.table import Table

LOOK_S: Final = 1.0
QUOTA_S: Final = 0.25
QUEUE_S: Final = 1.0
FRESH_S: Final = 0.2
"""A sample younger than this is good enough for the next look, unless something began after it."""
STALE_S: Final = 5.0
"""An older one is no base for a CPU share: the whole lifetime is then."""
HELD_MOST: Final = 4096
_UNUSED: Final[dict[str, int | None]] = {}
"""No memory on any device; nobody writes into it."""
MANY: Final = 100
"""So many supervised processes are worth a look at who else there is."""


class _Held:
    """An open /proc/PID/stat: reading it fails when that very process is gone, whoever has its number now."""

    __slots__ = ("fd", "owner", "stat")

    def __init__(self, fd: int, stat: ProcStat) -> None:
        self.fd = fd
        self.stat = stat
        self.owner: str | None = None


class Sampler:
    """`parents` are the pids of holder and keeper. `over` is called with what the watchdog decided."""

    def __init__(self, table: Table, gpus: Gpus, parents: Callable[[], frozenset[int]]) -> None:
        self.table, self.gpus, self._parents = table, gpus, parents
        self.machine = Machine()
        self.owner_of: dict[int, str] = {}
        """pid -> id of the supervised process it belongs to, of the last sweep."""
        self.over: Callable[[Process, watchdog.Decision], None]
        self.sampled: Callable[[], None]
        self.watched_memory: Callable[[Process], bool]
        self.elsewhere: Callable[[], list[tuple[int, str]]]
        """Pids, with whose they are, of trees that are not below the holder."""
        self._held: dict[int, _Held] = {}
        self._cpu: tuple[int, int] | None = None
        self._at_s: float | None = None
        self._behind = False
        """Something began after the last sample, which knows nothing of it."""
        self._base_s: float | None = None
        """When the times of processors were read that the next shares go by: shares of an instant say nothing."""
        self._ticks: dict[str, float] = {}
        self._warned: dict[str, float] = {}
        self._looking = 0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    # --- when ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """While this is open somebody looks."""
        self._looking += 1
        try:
            self.sample()
            self.schedule()
            yield
        finally:
            self._looking -= 1

    def interval_s(self) -> float | None:
        """Time between samples now; None: nobody needs any."""
        alive = self.table.alive()
        if any(process.row.gpus or self.watched_memory(process) for process in alive):
            return QUOTA_S
        if self._looking:
            return LOOK_S
        if any(process.row.lifecycle == "queued" for process in alive):
            return QUEUE_S
        return None

    def schedule(self) -> None:
        """Go on sampling as often as needed. Called when that may have changed."""
        interval_s = self.interval_s()
        if interval_s is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            return
        if self._timer is not None and self._timer.when() - self._loop.time() <= interval_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(interval_s, self._tick)

    def began(self, process: Process) -> None:
        """A run has begun: no sample taken before it is good enough for a look."""
        self._behind = True
        self._ticks.pop(process.id, None)  # of the run before
        if process.row.gpus or self.watched_memory(process):
            self.schedule()

    def _tick(self) -> None:
        self._timer = None
        self.sample(0.0)
        self.schedule()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for held in self._held.values():
            os.close(held.fd)
        self._held.clear()

    # --- what ---------------------------------------------------------------------------------------------------

    def sample(self, fresh_s: float = FRESH_S) -> None:
        """Read everything, unless that was done less than `fresh_s` ago and nothing has begun since. Have the GPUs
        asked."""
        now = time.monotonic()
        if self._at_s is not None and now - self._at_s < fresh_s and not self._behind:
            return
        self._behind = False
        since_s = None if self._base_s is None else now - self._base_s
        settled = since_s is None or since_s >= FRESH_S
        self._machine(settled=settled)
        self._sweep()
        self._usage(since_s, settled=settled)
        self._at_s = now
        if settled:
            self._base_s = now
        self.sampled()
        if self.gpus.started:
            self.gpus.refresh()

    def _machine(self, *, settled: bool) -> None:
        cpu = proc.parse_cpu(proc.read_text("/proc/stat") or "")
        memory = proc.parse_memory(proc.read_text("/proc/meminfo") or "")
        percent = None
        if settled and cpu is not None and self._cpu is not None and cpu[1] > self._cpu[1]:
            percent = 100.0 * (cpu[0] - self._cpu[0]) / (cpu[1] - self._cpu[1])
        elif self._cpu is not None:
            percent = self.machine.cpu_percent
        if settled:
            self._cpu = cpu
        used, total = memory if memory is not None else (None, None)
        self.machine = Machine(percent, used, total)

    def _sweep(self) -> None:
        """Find every process below the holder and whose it is."""
        roots = {process.row.pid: process.id for process in self.table.alive() if process.row.pid is not None}
        seen: dict[int, _Held] = {}
        children, fresh = self._children(len(roots))
        todo: list[tuple[int, str | None]] = list(roots.items())
        for parent in self._parents():
            todo += [(pid, None) for pid in children(parent) if pid not in roots]
        todo += [(pid, id_) for pid, id_ in self.elsewhere() if pid not in roots]
        own = os.getpid()
        while todo:
            pid, owner = todo.pop()
            if pid in seen or pid == own:
                continue
            held = (self._held.get(pid) if pid in fresh else None) or self._read(pid)
            if held is None:
                continue
            seen[pid] = held
            held.owner = roots.get(pid) or owner or roots.get(held.stat.session) or held.owner
            todo += [(child, held.owner) for child in children(pid)]
        for pid in self._held.keys() - seen.keys():
            os.close(self._held.pop(pid).fd)
        self.owner_of = {pid: held.owner for pid, held in seen.items() if held.owner is not None}

    def _children(self, count: int) -> tuple[Callable[[int], list[int]], set[int]]:
        """A function that tells the children of a process; and the held ones that were read for it."""
        pids = everybody() if count >= MANY else []
        if 2 * count <= len(pids) or not pids:
            return proc.tree(), set()
        found: dict[int, list[int]] = {}
        fresh: set[int] = set()
        for pid in pids:
            held = self._held.get(pid)
            stat = _pread(held.fd) if held is not None else proc.stat(pid)
            if stat is None:
                continue
            found.setdefault(stat.parent, []).append(pid)
            if held is not None:
                held.stat = stat
                fresh.add(pid)
        return lambda pid: found.get(pid, []), fresh

    def _read(self, pid: int) -> _Held | None:
        held = self._held.get(pid)
        if held is not None:
            stat = _pread(held.fd)
            if stat is not None:
                held.stat = stat
                return held
            os.close(held.fd)
            del self._held[pid]
        try:
            fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        stat = _pread(fd)
        if stat is None:
            os.close(fd)
            return None
        held = _Held(fd, stat)
        if len(self._held) >= HELD_MOST:
            os.close(self._held.pop(next(iter(self._held))).fd)
        self._held[pid] = held
        return held

    def _usage(self, since_s: float | None, *, settled: bool) -> None:
        """`since_s`: how old the times are that shares go by; not `settled`: too young, shares stay as they are."""
        members: dict[str, list[int]] = {}
        for pid, owner in self.owner_of.items():
            members.setdefault(owner, []).append(pid)
        ticks: dict[str, float] = {}
        wall = time.time()
        for process in self.table.alive():
            row = process.row
            if row.pid is None:
                continue
            pids = members.get(row.id, [])
            process.members = frozenset(pids)
            stats = [self._held[pid].stat for pid in pids if pid in self._held]
            if not stats:
                process.usage = Usage()
                continue
            seconds = sum(stat.cpu_ticks for stat in stats) / proc.TICKS
            ticks[row.id] = seconds
            before = self._ticks.get(row.id)
            if before is not None and not settled:
                percent = process.usage.cpu_percent
            elif before is not None and since_s is not None and 0 < since_s < STALE_S:
                percent = 100.0 * max(0.0, seconds - before) / since_s
            elif row.started_s is not None and wall > row.started_s:
                percent = 100.0 * seconds / (wall - row.started_s)
            else:
                percent = None
            rss = sum(stat.rss_pages for stat in stats) * proc.PAGE_BYTES
            process.usage = Usage(percent, seconds, rss)
        if settled:
            self._ticks = ticks

    # --- GPUs ---------------------------------------------------------------------------------------------------

    def devices_told(self) -> None:
        """A driver has answered: whose VRAM is whose, and who uses more than promised."""
        use = ledger.use_by_process(self.gpus.samples().values(), self.owner_of)
        now = time.monotonic()
        for process in self.table.alive():
            row = process.row
            process.device_use = use.get(row.id, _UNUSED)
            if not row.gpus or row.spec.vram_bytes is None:
                continue
            decision = watchdog.decide(row.spec.vram_bytes, process.device_use, self._warned.get(row.id), now)
            match decision:
                case watchdog.Fine():
                    self._warned.pop(row.id, None)
                case watchdog.Warn():
                    self._warned[row.id] = now
                    self.over(process, decision)
                case watchdog.StopIt():
                    self.over(process, decision)
                case watchdog.Patience():
                    pass
        self.schedule()


def _pread(fd: int) -> ProcStat | None:
    try:
        return proc.parse_stat(os.pread(fd, 4096, 0))
    except OSError:
        return None
