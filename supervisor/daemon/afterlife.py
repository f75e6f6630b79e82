"""What follows a run: what it had is given back, who waits is told, and it may be started again."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aish.model import exit as exits
from aish.model import state
from aish.model.usage import Usage
from aish.supervisor.daemon import clock, machine, ports, restart, runs
from aish.supervisor.daemon.launcher import passed_name, pidfd_name
from aish.supervisor.daemon.table import OWN_IDS
from aish.wire.part import ExitPart

if TYPE_CHECKING:
    from aish.supervisor.daemon.conductor import Conductor
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row
    from aish.wire.spec import SpecPart


class Afterlife:
    def __init__(self, conductor: Conductor) -> None:
        self.conductor = conductor
        self._loop = asyncio.get_running_loop()

    # --- another run --------------------------------------------------------------------------------------------

    def revive(self, process: Process) -> None:
        """What had ended is wanted again."""
        row = process.row
        self.conductor.table.revive(process)
        row.again = False
        row.restarts += 1
        row.leave_pid()

    def renew(self, process: Process) -> None:
        """A run that is no consequence of the one before it. What failed together keeps count of its restarts."""
        row = process.row
        _count(row)
        runs.next_begins(row, _wanted_by(row))
        if not row.group_restart:
            row.restarts_boot_s = []
        row.group_restart = False
        row.stop_reason = row.grace_s = row.cause = row.reason = row.exit = row.ended_s = row.started_s = None
        row.was_ready, row.concluded = False, None
        row.goes_on, row.worked_s, row.wake = False, 0.0, None
        if row.next_spec is not None:
            self._succeed(row, row.next_spec)

    def _succeed(self, row: Row, spec: SpecPart) -> None:
        """It is another one from here on; what was kept for it as it was goes."""
        if row.spec.sockets and row.spec.sockets != spec.sockets:
            self.conductor.launcher.sockets.close(row.id)
        if row.spec.kept_fds_most and not spec.kept_fds_most:
            self.conductor.launcher.fdstore.drop(row.id)
        row.spec, row.next_spec = spec, None

    def unpark(self, process: Process) -> None:
        """What was parked goes on: another run, of the same work. Its counts, and what it has used, go on with it."""
        row = process.row
        _count(row)
        runs.next_begins(row, runs.WINDOW)
        row.parking, row.goes_on, row.wake = False, True, None  # by what it was parked is known until it runs
        row.stop_reason = row.grace_s = row.cause = row.reason = row.exit = row.ended_s = row.started_s = None
        row.concluded = None
        if row.next_spec is not None:
            self._succeed(row, row.next_spec)

    def again(self, process: Process) -> None:
        """Its restart policy starts it."""
        row = process.row
        row.restarts += 1
        row.concluded = None
        _count(row)
        runs.next_begins(row, runs.POLICY)
        row.restarts_boot_s = [*row.restarts_boot_s[-restart.KEPT :], clock.boot_s()]
        row.restart_boot_s = None

    # --- the end of one -----------------------------------------------------------------------------------------

    def recess(self, process: Process, event: machine.LifecycleEvent) -> None:
        """Between two runs."""
        conductor, row = self.conductor, process.row
        recurs, parks = isinstance(event, machine.Recurs), isinstance(event, machine.Parks)
        end = row.exit or ExitPart()
        text = "its schedule starts it again" if recurs else "it will be started again"
        how = {"code": end.code, "signal": end.signal, "reason": end.reason}
        if parks:
            conductor.recorder.event("parked", row, row.reason or "", **how)
        else:
            conductor.recorder.event("ended", row, text, **how)
        if row.pid is None:  # it did not come to run: that is over now
            row.ended_s = time.time()
        conductor.recorder.run(row)
        process.cancel_timers()
        row.after_due = end if row.spec.after else None
        row.worked_s = row.worked_then_s if parks else 0.0
        row.leave_pid()
        conductor.watch.end(process)
        conductor.lives.ended(process)
        conductor.remains.kill(process)
        conductor.lives.after_run(process)
        if recurs:
            row.holds, row.paused_by, row.stop_reason = [], None, None
            row.in_front_until_s = None
            row.ready = machine.ready_step(row.ready, "ended")
        elif parks:  # a person's pause stays, and keeps it from going on
            row.holds = [hold for hold in row.holds if hold == state.USER]
            row.stop_reason = row.grace_s = None
            process.usage = Usage()
            row.ready = machine.ready_step(row.ready, "ended")
        else:
            conductor.fellowship.failed(process)
        if not parks:
            row.barred = None
        self._take_along(process)
        self._release(process)
        if parks:  # somebody may have let it go on meanwhile
            self._loop.call_soon(conductor.parking.look, process)

    def _take_along(self, process: Process) -> None:
        """What belongs to this run of it ends, too; the stop is in the same transaction as its own end."""
        if process.row.handed_back:
            return
        for child in self.conductor.table.children(process.id):
            if child.row.spec.with_parent:
                self.conductor.stop(child, None, exits.PARENT, by=process.id)

    def settle(self, process: Process) -> None:
        """Ended for good."""
        conductor, row = self.conductor, process.row
        process.cancel_timers()
        process.close_fds()
        row.ended_s = row.ended_s or time.time()
        row.holds, row.paused_by, row.group_wish, row.due_s = [], None, None, None
        row.barred, row.parking, row.wake, row.in_front_until_s = None, False, None, None
        row.ready = machine.ready_step(row.ready, "ended")
        conductor.watch.end(process)
        conductor.table.ended(process)
        conductor.lives.ended(process)
        if not row.handed_back:
            conductor.launcher.drop_socket(row)
        if row.spec.pty and not row.handed_back:
            conductor.sending.drop_pty(process)
        if row.targets and row.id not in OWN_IDS:
            conductor.holding.drop(passed_name(row.id))
        if row.spec.sockets and row.handed_back:
            conductor.launcher.sockets.let_go(row.id)
        elif row.spec.sockets and not row.again:
            conductor.launcher.sockets.close(row.id)
        if row.spec.kept_fds_most and not row.again:
            conductor.launcher.fdstore.drop(row.id)
        if row.adopted:
            conductor.holding.drop(pidfd_name(row.id))
        end = row.exit or ExitPart()
        conductor.recorder.event(
            row.lifecycle, row, row.reason or "", code=end.code, signal=end.signal, reason=end.reason
        )
        conductor.recorder.run(row)
        if row.handed_back:
            conductor.launcher.files.drop(row.id)
        else:
            row.after_due = end if row.spec.after and row.spec.argv else None
            conductor.remains.sweep(process)
        conductor.fellowship.settled(process)
        self._take_along(process)
        self._release(process)

    def _release(self, process: Process) -> None:
        row = process.row
        process.metered = process.doing = process.tokens_per_s = None
        process.trouble = process.hopeless = process.rest = None
        process.device_use = {}
        process.members = frozenset()
        row.gpus = []
        kept = ports.listens_on_it(row.spec) and (row.again or not row.ended)
        if row.port is not None and not kept:
            self.conductor.launcher.leases.release(row.port)
            row.port_before, row.port = row.port, None
        self._loop.call_soon(self.conductor.freed, process)


def _count(row: Row) -> None:
    """The run that it was at, if there was one, has a number of its own."""
    if row.started_s is not None or row.exit is not None:
        row.runs += 1


def _wanted_by(row: Row) -> str:
    if row.group_restart:
        return runs.GROUP
    return runs.SCHEDULE if row.spec.schedule is not None else runs.USER
