"""A new daemon, or a new holder: what the journal says and what the holder knows become one truth again.

Exits that the holder kept are applied, then acknowledged. What it holds runs. A process that was about to be started
and that it does not know is started now; the holder starts each id once, whatever is asked twice. What runs and is
not the holder's lost its parents: it is watched if it is still that very process, else its status is unknown.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from aish.model import exit as exits
from aish.model import state
from aish.supervisor.daemon import clock, machine, proc, restart, tags
from aish.supervisor.daemon.errands import MARK
from aish.supervisor.daemon.holding import Birth
from aish.supervisor.daemon.launcher import passed_name, pidfd_name
from aish.supervisor.daemon.parking import is_waking
from aish.supervisor.daemon.process import Process
from aish.supervisor.daemon.rebuilding import Rebuilding
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.table import OWN_IDS, own_number
from aish.supervisor.daemon.watch import store_name
from aish.supervisor.holder import kernel
from aish.wire.part import ExitPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aish.supervisor.daemon.daemon import Daemon

RESEND_S: Final = 10.0
"""How long a client has to send its descriptors again; it does so within milliseconds if it lives."""


class Takeover:
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.rebuilding = Rebuilding(daemon)

    def load(self, rows: Iterable[Row]) -> None:
        """The journal's table, before the holder is asked."""
        for row in rows:
            if row.id in OWN_IDS:
                if self.daemon.table.get(row.id) is not None:
                    continue  # written when all of them had one number
                if row.number != own_number(row.id):
                    row.number = own_number(row.id)
                    self.daemon.recorder.change(row)  # another one takes its old place, perhaps in the next save
            if not row.ended and self.daemon.table.named(row.name) is not None:
                row.name = row.id  # cannot be; a name is no reason to lose a process
            self.daemon.table.add(Process(row))
            if row.port is not None:
                self.daemon.launcher.leases.keep(row.port)

    async def reconcile(self, *, begun: bool, same_estate: bool) -> None:
        """Compare with the holder's list. `begun`: this daemon was at work already, the holder is new.

        `same_estate` False: keeper and holder both died, and what they knew with them. Then what they were asked for
        and have not answered may have run: it is looked for, and not started a second time.

        Raises DisconnectedError; then it is called again for the next holder.
        """
        daemon = self.daemon
        before = [(process, process.row.pid) for process in daemon.table.alive()]
        births, deaths = await daemon.holding.listing()
        if not begun:
            await daemon.conductor.wishes.take(daemon.table)
        for death in deaths:
            if daemon.found.rebuilt and MARK not in death.id and daemon.table.get(death.id) is None:
                self.rebuilding.died(death)
            daemon.conductor.died(death)
        held = {birth.id: birth for birth in births}
        if not same_estate:
            daemon.conductor.lives.errands.lost(held)
        daemon.handback.held(held)
        for birth in births:
            if MARK in birth.id:
                daemon.conductor.lives.errands.left(birth)
            elif daemon.table.get(birth.id) is None:
                self.rebuilding.born(birth)
        if not begun:
            self._stop_waiting(held)
            self._hooks(same_estate=same_estate)
        for process, pid in before:
            if process.row.ended or process.row.lifecycle in (state.BACKOFF, state.SCHEDULED, state.PARKED):
                continue
            if process.launching or process.row.pid != pid:
                continue  # the list is older than what is known of it
            if process.row.checking:
                daemon.conductor.lives.check(process)
                continue
            known = held.get(process.id)
            if known is not None:
                self._runs(process, known)
            else:
                await self._unknown(process, same_estate=same_estate)
        if not begun:
            await self._look_after()
        daemon.conductor.watch.keep_soon([process for process, _ in before])
        await self._drop_leftovers()
        self._end_leftovers(begun=begun)
        if not begun:
            self._timers([process for process, _ in before])

    async def _look_after(self) -> None:
        """What runs has been taken over."""
        daemon = self.daemon
        daemon.conductor.wishes.left.clear()
        for process in daemon.table.alive():
            if process.row.lifecycle == state.STOPPING and process.row.pid is not None:
                await daemon.conductor.lives.taken_over(process)
            elif process.row.lifecycle == state.RUNNING and not process.row.checking:
                await daemon.conductor.lives.taken_over(process)
                daemon.conductor.lives.began(process)
                daemon.enforcement.forks.watch(process)
        daemon.conductor.parking.taken_over()

    def _stop_waiting(self, held: Mapping[str, Birth]) -> None:
        """Those that the daemon before was stopping, and that do not run."""
        for process in self.daemon.table.alive():
            waits = process.row.lifecycle in (
                state.QUEUED,
                state.SCHEDULED,
                state.BACKOFF,
                state.PARKED,
                state.STARTING,
            )
            if waits and process.id in self.daemon.conductor.wishes.left and process.id not in held:
                self.daemon.conductor.stop(process, None, process.row.stop_reason or exits.CANCELLED)

    def _hooks(self, *, same_estate: bool) -> None:
        """Those that were due after a run, when it was over or a daemon died: they are run, or waited for."""
        if not same_estate:
            self.daemon.conductor.lives.errands.look_for(list(self.daemon.table))
        for process in self.daemon.table:
            if process.row.after_due is not None and not process.row.ended:
                self.daemon.conductor.lives.after_run(process)

    def _end_leftovers(self, *, begun: bool) -> None:
        """What somebody was ending when he died: nobody else does."""
        daemon = self.daemon
        if daemon.recorder.journal is None:
            return  # what was handed back is not known
        if daemon.found.rebuilt:
            daemon.handback.leave_alone()  # nor is it here
            return
        alive = {process.id for process in daemon.table.alive()}
        for id_ in daemon.reach.leftovers(alive | daemon.handback.groups()):
            daemon.recorder.event("left-behind", text=f"what {id_} had left behind was ended")
        if not begun:
            due = [process for process in daemon.table if process.row.ended and process.row.after_due is not None]
            for process in {process.id: process for process in (*due, *daemon.reach.strays())}.values():
                daemon.conductor.remains.sweep(process)

    async def _drop_leftovers(self) -> None:
        """Terminals and descriptors of processes that have ended: that they were to be dropped got lost."""
        for name in await self.daemon.holding.names():
            what, _, id_ = name.partition(".")
            process = self.daemon.table.get(id_)
            gone = id_ not in OWN_IDS and (process is None or process.row.ended)
            if what == "pidfd" or (what in ("pty", "fds", "notify", "adopted") and gone):
                self.daemon.holding.drop(name)
            elif not gone or (process is not None and process.row.again):
                continue  # they are for its next run
            elif what == "sock" and process is not None and process.row.handed_back:
                self.daemon.launcher.sockets.let_go(id_)
            elif what == "sock":
                self.daemon.launcher.sockets.close(id_)
            elif what == "fdstore":
                self.daemon.launcher.fdstore.drop(id_)

    def _runs(self, process: Process, birth: Birth) -> None:
        row, conductor = process.row, self.daemon.conductor
        if row.pid is None and birth.starting:
            conductor.births.ask(process)
            return
        known = row.pid is not None
        if not known:
            conductor.spawned(process, birth)
        if known or row.id in conductor.wishes.left:
            self._go_on(process)
        self.daemon.table.began(process)

    def _go_on(self, process: Process) -> None:
        """What was being done to it, and perhaps not finished: to stop it, to hold it, to let it go on."""
        row, conductor = process.row, self.daemon.conductor
        if row.lifecycle == state.STOPPING or row.id in conductor.wishes.left:
            conductor.stop(process, row.grace_s, row.stop_reason or exits.CANCELLED)
            return
        conductor.held_again(process)
        if row.cause == exits.UNHEALTHY:
            conductor.lives.end_unhealthy(process)

    async def _unknown(self, process: Process, *, same_estate: bool) -> None:
        """The holder neither has it nor saw it end."""
        daemon, row = self.daemon, process.row
        if row.pid is None and not same_estate and (_may_have_been_asked(row) or is_waking(row)):
            self._look_for(process)
            return
        if not row.spec.argv:
            return  # a model elsewhere
        if row.pid is None:
            if row.lifecycle == state.STOPPING:
                daemon.conductor.never_begun(process)
            elif row.targets and not process.fds and not await self._kept(process):
                loop = asyncio.get_running_loop()
                process.resend_timer = loop.call_later(RESEND_S, self._gave_up, process)
            elif row.lifecycle == state.STARTING:
                daemon.conductor.missing(process)
            return
        if row.lifecycle == state.STOPPING and row.exit is not None and row.boot_id == daemon.boot_id:
            # Its leader's end is in the journal, so the holder was told to forget it; the rest is being stopped.
            self._go_on(process)
            daemon.conductor.apply(process, machine.LeaderEnded())
            return
        if row.adopted and row.boot_id == daemon.boot_id and await self._watched_again(process):
            return
        same = row.boot_id == daemon.boot_id and (await self._bequeathed(process) or self._same(row))
        if same:
            daemon.conductor.missing(process)
            self._go_on(process)
        elif row.boot_id != daemon.boot_id:
            daemon.conductor.vanished(process, "the machine was started anew")
        else:
            reason = "it ended while nobody watched: its exit status is not known"
            daemon.conductor.vanished(process, reason, restartable=True)

    async def _bequeathed(self, process: Process) -> bool:
        """Whether the daemon before has left its pidfd: then its end is known, even if it is over."""
        kept = await self.daemon.holding.fetch(store_name(process.id, process.row.pid))
        if kept:
            self.daemon.conductor.watch.have(process, kept.pop())
        for fd in kept:
            os.close(fd)
        return process.pidfd is not None

    async def _watched_again(self, process: Process) -> bool:
        """An adopted one, by the pidfd that the holder has kept: alive, or ended while no daemon looked."""
        daemon, row = self.daemon, process.row
        if process.watch_fd is None:
            kept = await daemon.holding.fetch(pidfd_name(row.id))
            if not kept:  # keeper and holder died with it
                fd = kernel.pidfd_of(row.pid or 0, row.start_ticks)
                if fd is None:
                    return False
                kept = [fd]
                await daemon.holding.store(pidfd_name(row.id), kept)
            daemon.conductor.watch_again(process, kept[0])
        self._go_on(process)
        return True

    def _same(self, row: Row) -> bool:
        found = proc.stat(row.pid) if row.pid is not None else None
        return found is not None and found.start_ticks == row.start_ticks

    def restart_unreachable(self) -> None:
        """Model servers whose Unix socket was taken away with the runtime folder: nobody can reach them any more."""
        for process in self.daemon.table.alive():
            route = process.row.spec.route
            path = route.url.removeprefix("unix:") if route is not None and route.url.startswith("unix:") else None
            if path and process.row.ready == state.YES and not os.path.exists(path):
                self.daemon.recorder.event("unreachable", process.row, f"{path} was removed: it is started again")
                self.daemon.conductor.sending.kill(process)

    def _look_for(self, process: Process) -> None:
        """It may have been started by those who died: a leader of its session, with its tag. Its children may have
        made sessions of their own, but are younger."""
        row = process.row
        tag = self.daemon.reach.tag(row)
        found = [
            (place.start_ticks, pid)
            for pid in tags.everybody()
            if (place := proc.stat(pid)) is not None and place.session == pid and tags.tag_of(pid) == tag
        ]
        if not found and is_waking(row):
            self.daemon.conductor.parking.again(process)
            return
        if not found:
            self.daemon.conductor.vanished(
                process, "keeper and holder died while it was started: did it run?", restartable=True
            )
            return
        ticks, pid = min(found)
        self.daemon.conductor.spawned(process, Birth(row.id, pid, ticks))

    async def _kept(self, process: Process) -> bool:
        """Whether the holder has the descriptors that its client passed."""
        kept = await self.daemon.holding.fetch(passed_name(process.id))
        for fd in kept:
            os.close(fd)
        return bool(kept)

    def resume(self, process: Process) -> None:
        """Its client has sent the descriptors again."""
        if process.resend_timer is not None:
            process.resend_timer.cancel()
            process.resend_timer = None
        if process.row.lifecycle == state.STARTING:
            self.daemon.conductor.missing(process)
        else:
            self.daemon.admission.enqueue(process)

    def _gave_up(self, process: Process) -> None:
        process.resend_timer = None
        row = process.row
        if row.pid is None and not row.ended:
            row.reason = "the descriptors that it was given were lost with the daemon that had them"
            row.exit = ExitPart(reason=exits.START)
            self.daemon.conductor.not_started(process)

    def _timers(self, before: list[Process]) -> None:
        """What the daemon before was waiting for."""
        conductor = self.daemon.conductor
        for process in before:
            conductor.fellowship.go_on(process)
            match process.row.lifecycle:
                case "backoff":
                    due_s = process.row.restart_boot_s or 0.0
                    conductor.backoff(process, min(restart.DEFAULT.longest_s, max(0.0, due_s - clock.boot_s())))
                case "scheduled":
                    self._scheduled(process)
                case "queued" if process.resend_timer is None:
                    self.daemon.admission.enqueue(process)
                case _ if process.row.again and process.row.ended:
                    conductor.start(process)
                case "starting" if not process.row.spec.argv:
                    conductor.missing(process)
                case _:
                    pass

    def _scheduled(self, process: Process) -> None:
        """Its times go on, if what it needs to start is still there: after a reboot it is not."""
        if self.daemon.launcher.files.load(process.id) is None:
            self.daemon.conductor.vanished(process, "the machine was started anew, or its runtime folder was emptied")
        else:
            self.daemon.conductor.timetable.go_on(process)


def _may_have_been_asked(row: Row) -> bool:
    """Whether the holder may have got the spawn. A row that waits for a GPU, or for others, or for its hook, is
    written again before that."""
    if row.preparing:
        return False
    waits = row.lifecycle == state.QUEUED and (row.spec.vram_bytes is not None or row.spec.needs or row.spec.group)
    return bool(row.spec.argv) and not waits
