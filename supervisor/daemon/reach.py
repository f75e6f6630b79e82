"""What reaches the whole tree of a process: its control group where groups can be made, else its tag and its session.

A process is its tree. Stopping it ends all of it, pausing it stops all of it, and when it has ended nothing of it is
left behind: the rest gets the stop signal, then SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final

from aish.supervisor.daemon import proc, tags
from aish.supervisor.daemon.cgroup import by_systemd
from aish.supervisor.daemon.groups import Groups, disks
from aish.supervisor.daemon.kin import Kin
from aish.wire import key
from aish.wire.spec import LimitPart

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from aish.supervisor.daemon.cgroup import Layout
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row
    from aish.supervisor.daemon.table import Table

NPROC_SLACK: Final = 256
"""RLIMIT_NPROC counts all of the user's tasks. The others may become so many more before forks fail for nothing."""


class Reach:
    """`reapers` are the pids of keeper and holder, `own` that of the daemon. Nothing here waits for long."""

    def __init__(
        self,
        layout: Callable[[], Layout],
        table: Table,
        *,
        secret: bytes,
        epoch: int,
        reapers: Callable[[], frozenset[int]],
        own: int,
    ) -> None:
        self.groups = Groups(layout)
        self._table, self._reapers, self._own = table, reapers, own
        self._secret, self._epoch = secret, epoch
        self._kin = Kin()
        self.errands: Collection[int] = ()
        """Pids of hooks and probes: they have the tag of a process and are no part of it."""
        self.unheld_now: Callable[[Process, list[str]], None] = lambda process, unheld: None
        """At its start nothing holds these limits of it, which was not told yet."""
        self._killed_at_limits = 0

    @property
    def layout(self) -> Layout:
        return self.groups.layout

    def tag(self, row: Row) -> str:
        return self.tag_of(row.id)

    def tag_of(self, id_: str) -> str:
        """The mark of a process, whether it has a row or not."""
        return key.tag(self._secret, id_, self._epoch)

    def open(self, process: Process) -> list[int]:
        """Descriptors of the groups that its child is to join; the caller closes them. Raises LimitError."""
        limits = process.row.spec.limits
        told = self.unheld(limits) if process.unheld is None else process.unheld
        self._tally(process)
        fds = self.groups.open(process.id, limits or LimitPart())
        self._count(process)
        process.unheld = self.unheld(limits)  # groups may be made elsewhere by now
        lost = [name for name in process.unheld if name not in told]
        if lost:
            self.unheld_now(process, lost)
        return fds

    def unheld(self, limits: LimitPart | None) -> list[str]:
        """Limits that are asked for and that nothing holds here, as `aish limit` calls them."""
        if limits is None:
            return []
        asks_io = limits.read_bytes_per_s is not None or limits.write_bytes_per_s is not None
        io = asks_io and self.layout.holds("io") is not None and bool(disks())
        asked = {
            "cpus": limits.cpus is not None and self.layout.holds("cpu") is None,
            "read": limits.read_bytes_per_s is not None and not io,
            "write": limits.write_bytes_per_s is not None and not io,
        }
        return [name for name, lacks in asked.items() if lacks]

    # --- adopted ones -------------------------------------------------------------------------------------------

    def prepare(self, row: Row) -> None:
        """Groups with its limits for one that is to be adopted, where that may be done. Raises LimitError."""
        if not by_systemd(row.pid or 0):
            self.groups.prepare(row.id, row.spec.limits or LimitPart())

    def take(self, process: Process) -> list[str]:
        """Put all of its tree into them, as far as it may be moved. Which of its limits nothing holds."""
        row = process.row
        limits, leader = row.spec.limits or LimitPart(), self._leader(row)
        self.groups.gather(row.id, lambda: self._kin.members(row.id, leader, self._known))
        self._count(process)
        asked = {"cpus": ("cpu", limits.cpus), "pids": ("pids", limits.pids)}  # memory is watched at least
        return [name for name, (what, most) in asked.items() if most is not None and not self.holds(row, what)]

    def limit(self, row: Row, limits: LimitPart) -> None:
        """Change what the kernel holds. Raises LimitError."""
        if not row.adopted or self.groups.holds_tree(row.id):
            process = self._table.get(row.id)
            if process is not None and not _watches_memory(row):
                process.oom_tallied = self.groups.oom_kills(row.id) or 0  # at no limit so far
            self.groups.limit(row.id, limits)

    def holds(self, row: Row, what: str) -> bool:
        """Whether the kernel holds this kind of limit for it: "memory", "pids", "cpu", "io"."""
        version = self.layout.holds(what)
        return version is not None and (not row.adopted or os.path.isdir(self.groups.folder(row.id, what)))

    def tier(self, row: Row) -> str:
        """The word that inspect shows."""
        return "watched" if row.adopted and not self.groups.holds_tree(row.id) else self.layout.tier

    def look(self, row: Row) -> None:
        """Before its leader is ended: what has no tag and no group is found by its parents only while they live."""
        if row.adopted:
            self.members(row)

    def adopted(self) -> list[tuple[int, str]]:
        """All that belongs to adopted ones, and whose it is."""
        rows = [process.row for process in self._table.alive() if process.row.adopted]
        return [(pid, row.id) for row in rows for pid in self.members(row)]

    def has_group(self, row: Row) -> bool:
        """Whether its process group is all its own: an adopted one may share one with strangers."""
        if not row.adopted:
            return True
        if row.pid is None or proc.group(row.pid) != row.pid:
            return False
        own = set(self.members(row))
        others = [pid for pid in tags.everybody() if pid not in own and proc.group(pid) == row.pid]
        own = set(self.members(row)) if others else own  # newborns of its own are no strangers
        return all(pid in own or proc.ended(pid) for pid in others)

    def set_nice(self, row: Row, nice: int) -> None:
        """Raises OSError: without a right, niceness only rises. Nothing happens to a stranger with an old pid."""
        if row.adopted:
            for pid in self.members(row):
                for thread in proc.threads(pid):
                    os.setpriority(os.PRIO_PROCESS, thread, nice)
            return
        leader = self._leader(row)
        if leader is not None:
            os.setpriority(os.PRIO_PGRP, leader, nice)

    # --- memory -------------------------------------------------------------------------------------------------

    def out_of_memory(self, process: Process) -> bool:
        """Whether the kernel has ended something of it at its limit of memory, in this run."""
        if not _watches_memory(process.row):
            return False
        self._tally(process)  # who is struck in this very moment is told apart from it
        return (self.groups.oom_kills(process.id) or 0) > process.oom_kills

    def killed_at_limits(self) -> int:
        """How many the kernel has ended at limits of memory of ours since this daemon looked first: those in what has
        ended meanwhile, too."""
        for process in self._table.alive():
            self._tally(process)
        return self._killed_at_limits

    def _tally(self, process: Process) -> None:
        """Before its group goes, or gets another run's."""
        if _watches_memory(process.row):
            kills = self.groups.oom_kills(process.id) or 0
            known = kills if process.oom_tallied is None else process.oom_tallied
            self._killed_at_limits += max(0, kills - known)
            process.oom_tallied = max(kills, known)

    def forks_refused(self, process: Process) -> int:
        """How often its limit of processes kept it from forking, in this run, as far as it was not noted yet."""
        return max(0, (self.groups.forks_refused(process.id) or 0) - process.forks_refused)

    def _count(self, process: Process) -> None:
        """From here on: the group may be that of an earlier run."""
        process.oom_kills = process.oom_tallied = self.groups.oom_kills(process.id) or 0
        process.forks_refused = self.groups.forks_refused(process.id) or 0

    def members(self, row: Row) -> list[int]:
        """Everything of its tree that lives."""
        found = self.groups.members(row.id)
        if found is not None:
            return found
        if row.adopted:
            return self._kin.members(row.id, self._leader(row), self._known)
        return tags.members(*self._place(row))

    def _place(self, row: Row) -> tuple[str, int | None, int | None, frozenset[int], Callable[[int], bool]]:
        """What its tree is found by."""
        session = row.pid if row.pid is not None else row.before[0] if row.before is not None else None
        return self.tag(row), self._leader(row), session, self._reapers(), self._known

    def rest(self, row: Row) -> list[int]:
        """What of it lives beside its leader, or after it."""
        leader = self._leader(row)
        return [pid for pid in self.members(row) if pid != leader]

    def _leader(self, row: Row) -> int | None:
        """Its pid while it is that very process."""
        place = proc.stat(row.pid) if row.pid is not None else None
        return row.pid if place is not None and place.start_ticks == row.start_ticks and row.exit is None else None

    def _known(self, pid: int) -> bool:
        """Whether it is somebody's leader, or one of our own programs: no orphan."""
        if pid == self._own or pid in self._reapers() or pid in self.errands:
            return True
        process = self._table.get(self._table.session(pid) or "")
        return process is not None and process.row.pid == pid and not process.row.ended

    def signal_rest(self, row: Row, number: int) -> int:
        """A signal to all of it but its leader; how many got it."""
        return tags.kill(lambda: self.rest(row), number)

    def count(self, row: Row) -> int:
        """Processes and threads of its tree, those that are about to be reaped too."""
        return sum(place.threads for pid in self.members(row) if (place := proc.stat(pid)) is not None)

    def counts(self, row: Row) -> bool:
        """Whether nothing but counting holds its limit of processes."""
        limits = row.spec.limits
        return limits is not None and limits.pids is not None and self.layout.holds("pids") is None

    def nproc(self, row: Row) -> int | None:
        """The RLIMIT_NPROC that stops what multiplies between two looks; None: the kernel holds the limit, there is
        none, or we are root, for whom it does not hold."""
        if not self.counts(row) or os.geteuid() == 0:
            return None
        assert row.spec.limits is not None
        return proc.tasks(os.geteuid()) + (row.spec.limits.pids or 0) + NPROC_SLACK

    def halt(self, row: Row) -> None:
        """Have a tree that multiplies stand still, so that it can be ended: one that is stopped does not fork, and
        leaves its place to nobody. A control group is killed as a whole, and needs none of it."""
        if self.groups.holds_tree(row.id):
            return
        leader = self._leader(row)
        if leader is not None and self.has_group(row):
            with contextlib.suppress(OSError):
                os.killpg(leader, signal.SIGSTOP)  # at once, whoever of the group is just forking
        tags.stop(tags.tree(*self._place(row)), self._reapers())
        tags.kill(lambda: self.members(row), signal.SIGSTOP)

    def kill(self, row: Row) -> None:
        """SIGKILL to all of it; without control groups to all but its leader, which stands still until its own comes:
        a shell would take the death of its child for an answer, and end with a status of its own."""
        if self.groups.kill(row.id):
            return
        leader = self._leader(row)
        if leader is not None:
            tags.kill(lambda: [leader] if self._leader(row) == leader else [], signal.SIGSTOP)
        tags.kill(lambda: self.rest(row))

    def moving(self, row: Row) -> list[int]:
        """Who of its leader's process group has not stopped yet."""
        return [pid for pid in self.members(row) if proc.group(pid) == row.pid and not proc.stopped(pid)]

    def freeze(self, row: Row, on: bool) -> bool:
        """Stop all of it, or let it go on; False where only signals can."""
        return self.groups.freeze(row.id, on)

    def frozen(self, row: Row) -> bool:
        """Whether it stands still by now."""
        return self.groups.frozen(row.id)

    def forget(self, row: Row) -> bool:
        """Its groups go; False while something lives in one."""
        self._kin.forget(row.id)
        self._tally_last(row)
        return self.groups.remove(row.id)

    def swept(self, row: Row) -> bool:
        """Whether nothing of it is left, by the word of the kernel: it gave back the group that everything was in."""
        self._tally_last(row)
        return self.groups.holds_tree(row.id) and self.groups.remove(row.id)

    def _tally_last(self, row: Row) -> None:
        process = self._table.get(row.id)
        if process is not None:
            self._tally(process)

    def strays(self) -> list[Process]:
        """Of which processes that have ended something is left, by its tag: what a daemon was ending when it died."""
        children = proc.tree()
        orphans = [pid for reaper in self._reapers() for pid in children(reaper) if not self._known(pid)]
        found = {tag for pid in orphans if (tag := tags.tag_of(pid)) is not None}
        if not found:
            return []
        ended = [process for process in self._table if process.row.ended and not process.row.handed_back]
        return [process for process in ended if self.tag(process.row) in found]

    def leftovers(self, alive: set[str]) -> list[str]:
        """Groups of ours that no living process has, left by a daemon that died: emptied and removed. Whose."""
        left = sorted(self.groups.ids() - alive)
        for id_ in left:
            self.groups.kill(id_)
            self.groups.remove(id_)
        return left


def _watches_memory(row: Row) -> bool:
    """Whether it has a limit of memory, at which the kernel may end something of it."""
    return row.spec.limits is not None and row.spec.limits.memory_bytes is not None
