"""Where the state machine meets the world: events in, effects carried out, everything journaled.

Nobody else changes a row's lifecycle. An exit is acknowledged to the holder only after it is in the journal.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from typing import TYPE_CHECKING, Final

from aish.model import exit as exits
from aish.model import kind
from aish.model.exit import Exit
from aish.model.size import format_bytes
from aish.model.state import MEMORY, QUEUED, RUNNING, STOPPING
from aish.supervisor.daemon import clock, machine
from aish.supervisor.daemon.afterlife import Afterlife
from aish.supervisor.daemon.births import Births
from aish.supervisor.daemon.errands import MARK
from aish.supervisor.daemon.fellowship import Fellowship
from aish.supervisor.daemon.holding import Birth
from aish.supervisor.daemon.lives import Lives, keeps_environ, variables
from aish.supervisor.daemon.parking import Parking
from aish.supervisor.daemon.remains import Remains
from aish.supervisor.daemon.row import ALIVE
from aish.supervisor.daemon.sending import Sending
from aish.supervisor.daemon.timetable import Timetable
from aish.supervisor.daemon.verdict import judge, parks, recurs
from aish.supervisor.daemon.watch import Watch
from aish.supervisor.daemon.wishes import Wishes
from aish.supervisor.daemon.wrapups import Wrapups
from aish.wire.part import ExitPart

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.model.state import Hold
    from aish.supervisor.daemon.holding import Death, Holding
    from aish.supervisor.daemon.launcher import Launcher
    from aish.supervisor.daemon.machine import Effect, LifecycleEvent
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.reach import Reach
    from aish.supervisor.daemon.recorder import Recorder
    from aish.supervisor.daemon.row import Row
    from aish.supervisor.daemon.table import Table

NEVER_BEGUN: Final = "stopped before it was started"


class Conductor:
    """`enqueue` asks for admission, `told` tells the gateway about a process. `began` and `freed` tell who looks
    after it that it runs, and that it holds nothing any more."""

    def __init__(
        self,
        table: Table,
        recorder: Recorder,
        holding: Holding,
        launcher: Launcher,
        *,
        boot_id: str,
        enqueue: Callable[[Process], None],
        told: Callable[[Process], None],
        began: Callable[[Process], None],
        freed: Callable[[Process], None],
        reach: Reach,
    ) -> None:
        self.table, self.recorder, self.holding, self.launcher = table, recorder, holding, launcher
        self.reach = reach
        self.boot_id = boot_id
        self._enqueue, self._told, self._begun, self.freed = enqueue, told, began, freed
        self._loop = asyncio.get_running_loop()
        self.watch = Watch(self._loop)
        self._acks: set[str] = set()
        self.struck: Callable[[Process, Exit], None] = lambda process, end: None
        """It has ended, and nobody wanted it."""
        self.run_over: Callable[[Process], None] = lambda process: None
        self.births = Births(self)
        self.sending = Sending(holding, self.watch, reach, recorder, self._stop_remote)
        reach.unheld_now = self.unheld
        self.remains = Remains(self)
        self.afterlife = Afterlife(self)
        self.timetable = Timetable(self)
        self.fellowship = Fellowship(self)
        self.wrapups = Wrapups(self)
        self.parking = Parking(self)
        self.wishes = Wishes(holding, recorder)
        self.lives = Lives(self, os.path.dirname(launcher.files.folder))
        launcher.own_variables = lambda process: variables(process, self.lives.notices.path(process.id))

    # --- events -------------------------------------------------------------------------------------------------

    def admitted(self, process: Process) -> None:
        process.row.queued_boot_s = None
        process.row.reason = None
        self.apply(process, machine.Admitted())

    def refused(self, process: Process, reason: str, word: str) -> None:
        process.row.reason = reason
        process.row.exit = ExitPart(reason=word)
        self.not_started(process)

    def spawned(self, process: Process, birth: Birth) -> None:
        """The holder has it. Idempotent: the answer may come after the exit, or a new daemon's list, told it."""
        row = process.row
        if row.before == (birth.pid, birth.start_ticks):
            return  # the answer about a run that has ended meanwhile, and another is under way
        if row.pid is None and not row.ended:
            row.pid, row.start_ticks, row.boot_id = birth.pid, birth.start_ticks, self.boot_id
            row.started_s = time.time()
            row.ended_s = row.exit = row.queued_boot_s = row.reason = None
            self.watch.keep(process)
        self.apply(process, machine.Spawned())

    def adopted(self, process: Process, fd: int) -> None:
        """It runs already, and is nobody's child of ours. `fd`: a pidfd of it, ours from now on."""
        self.watch.have(process, fd)
        self.watch.begin(process, self._left)
        unheld = self.reach.take(process)
        if unheld:
            process.row.reason = f"nothing holds {' and '.join(unheld)}: it cannot be put into a control group here"
        self.apply(process, machine.Adopted())

    def unheld(self, process: Process, limits: list[str]) -> None:
        """Nothing holds these limits of it."""
        self.recorder.event("limit-unheld", process.row, f"nothing here holds a limit of {', '.join(limits)}")

    def watch_again(self, process: Process, fd: int) -> None:
        """By a pidfd that outlived the daemon before; what it names may have ended meanwhile."""
        if process.row.lifecycle == QUEUED:  # promised, no more
            self.adopted(process, fd)
        else:
            self.watch.have(process, fd)
            self.watch.begin(process, self._left)

    def died(self, death: Death) -> None:
        """An exit that the holder keeps. Told again until it is acknowledged."""
        if MARK in death.id:
            self.lives.errands.died(death)
            return
        process = self.table.get(death.id)
        if process is None:  # forgotten, or of a table that is gone: nobody waits for it
            self._ack(death.id)
            return
        row = process.row
        if row.pid is None and row.before != (death.pid, death.start_ticks) and not row.ended:
            # The answer to spawn is still under way, or died with the daemon that asked.
            self.spawned(process, Birth(death.id, death.pid, death.start_ticks))
        if row.pid != death.pid or row.lifecycle in ("exited", "failed") or row.checking or row.handed_back:
            self.recorder.change(row, after=lambda: self._ack(death.id))  # told before, and taken
            return
        row.cpu_seconds, row.max_rss_bytes = death.cpu_seconds, death.max_rss_bytes
        self.ended(process, Exit.from_wait_status(death.status), death.ended_s, death.ended_boot_s)
        self.recorder.change(row, after=lambda: self._ack(death.id))

    def ended(
        self,
        process: Process,
        end: Exit,
        at_s: float | None = None,
        at_boot_s: float | None = None,
        *,
        restartable: bool = True,
        cause: str | None = None,
        checked: bool = False,
    ) -> None:
        """It has ended, as far as anybody can tell how: at `at_s` by the wall clock, `at_boot_s` since boot (now).

        `cause`: why it counts as failed, whatever its status. `checked`: the command that decides has been asked.
        """
        row = process.row
        row.ended_s = at_s or time.time()
        if row.started_s is not None:  # the holder tells an end as it was, of a start the daemon hears later
            row.started_s = min(row.started_s, row.ended_s)
        self.wrapups.ended(process)
        self.run_over(process)
        cause = cause or row.cause
        if MEMORY in row.holds and cause is None and not end.lost and row.stop_reason in (None, *exits.WANTED):
            row.reason = None  # that it was held is why of nothing now
        if self.reach.out_of_memory(process):
            cause = exits.OOM
            row.reason = "out of memory: the kernel ended it at its limit of " + format_bytes(_memory(row))
        elif row.stop_reason is None and cause is None and row.signalled is None:
            self.struck(process, end)
        if row.parking and not parks(row, end):  # it was done just before
            row.parking = False
            row.stop_reason = row.ended_by = None
        row.exit = ExitPart(code=end.code, signal=end.signal, reason=row.stop_reason or cause)
        if row.lifecycle == STOPPING and not end.lost and self.reach.rest(row):
            self.apply(process, machine.LeaderEnded())
            return
        undecided = row.spec.check and not checked and cause is None and row.stop_reason is None
        if row.lifecycle == RUNNING and end.code == 0 and undecided:
            row.checking = True
            self.apply(process, machine.Finished())
            return
        now_s, ran_s = clock.boot_s(), None
        if row.start_ticks is not None:
            ran_s = (at_boot_s or now_s) - row.start_ticks / clock.TICKS_PER_S
        verdict = judge(
            row, end, cause=cause, ran_s=ran_s, now_s=now_s, chance=random.random(), restartable=restartable
        )
        row.exit, row.reason = verdict.exit, verdict.reason or row.reason
        row.checking, row.cause = False, None
        self.apply(process, verdict.event)

    def vanished(self, process: Process, reason: str, *, restartable: bool = False) -> None:
        """It is not there any more, and nobody can tell its status."""
        process.row.reason = reason
        self.ended(process, Exit(None, None), restartable=restartable)

    def not_started(self, process: Process) -> None:
        """It did not come to run; its row says why."""
        if recurs(process.row):
            self.apply(process, machine.Recurs())
        else:
            self.apply(process, machine.Refused() if process.row.lifecycle == "queued" else machine.SpawnFailed())

    def never_begun(self, process: Process) -> None:
        """It was stopped during its start: with the status of the run before, if there was one."""
        row, last = process.row, process.row.exit or ExitPart()
        row.reason = NEVER_BEGUN
        row.exit = ExitPart(code=last.code, signal=last.signal, reason=row.stop_reason or exits.CANCELLED)
        self.not_started(process)

    def missing(self, process: Process) -> None:
        """A holder that does not know it: start it if it never was, watch it if it lives elsewhere."""
        self.apply(process, machine.Missing())

    def stop(
        self, process: Process, grace_s: float | None, reason: str = exits.CANCELLED, by: str | None = None
    ) -> bool:
        """Have it end; False if it has. `grace_s` None: as its spec says, 0: kill at once. `by`: who wants it."""
        row = process.row
        if row.ended:
            return False
        if row.parking and reason != exits.PARKED:  # it ends for another reason now
            row.parking = False
            row.stop_reason = row.ended_by = row.wake = None
        if reason == exits.CANCELLED:  # no resurrection, whatever it was stopped for before
            row.again, row.group_restart, row.group_wish = False, False, None
            if row.spec.schedule is not None or row.stop_reason in (exits.RESTARTED, exits.GROUP):
                row.stop_reason = reason
        row.stop_reason, row.ended_by = row.stop_reason or reason, row.ended_by or by
        if row.lifecycle in ("scheduled", "queued", "backoff", "parked"):
            _end_between_runs(row)
            self.recorder.event("stopping", row, row.stop_reason, by=by)
        row.grace_s = grace_s
        self.apply(process, machine.StopRequested(at_once=grace_s == 0))
        self.lives.stopped(process)
        self.births.stopped(process)
        self.wishes.stopped(process)
        return True

    def start(self, process: Process) -> None:
        """What has ended runs again: same id, same name, same logs. The caller has seen to its environment."""
        wanted = process.row.next_spec or process.row.spec
        self.apply(process, machine.StartRequested(later=process.row.ended and wanted.schedule is not None))

    def hand_back(self, process: Process) -> None:
        """It lives on, and is nobody's here any more (`aish off`)."""
        process.row.reason, process.row.exit = ALIVE, ExitPart(reason=exits.HANDED_BACK)
        self.apply(process, machine.Vanished())

    # --- holds --------------------------------------------------------------------------------------------------

    def hold(self, process: Process, reason: Hold, event: machine.HoldEvent) -> bool:
        """Put or lift a hold; False if it was so already."""
        row = process.row
        after = machine.hold_step(frozenset(row.holds), reason, event, observed=row.spec.observe is not None)
        if not after.changed:
            return False
        row.holds = sorted(after.holds)
        match after.effect:
            case "freeze":
                self.sending.freeze(process)
            case "thaw":
                self.sending.thaw(process)
            case None:
                pass
        self.changed(process)
        if event == "lift":  # that stood in the way of parking, or of going on
            self._loop.call_soon(self.parking.look, process)
        return True

    def held_again(self, process: Process) -> None:
        """Whether a held process was stopped, or one let go was told, before the daemon or the holder died is not
        known: once more does no harm."""
        if process.row.stands_still:
            self.sending.freeze(process)
        elif process.row.thawing:
            self.sending.thaw(process)

    def readiness(self, process: Process, event: machine.ReadyEvent) -> bool:
        after = machine.ready_step(process.row.ready, event)
        if after == process.row.ready:
            return False
        process.row.ready = after
        if after == "yes":
            process.row.was_ready, process.row.ready_s = True, time.time()
        self.changed(process)
        return True

    # --- the machine --------------------------------------------------------------------------------------------

    def apply(self, process: Process, event: LifecycleEvent) -> None:
        row = process.row
        step = machine.step(row.lifecycle, event)
        match step.outcome:
            case "ignored":
                return
            case "fault":
                name = type(event).__name__
                self.recorder.event("fault", row, f"{name} came while it was {row.lifecycle}: please report this")
                return
            case "moved":
                pass
        row.lifecycle = step.state
        for effect in step.effects:
            self._effect(process, effect, event)
        self.changed(process)
        if row.ended and row.again:  # in this very turn: a stop in between would find it ended, and do nothing
            self.start(process)

    def changed(self, process: Process) -> None:
        """Something in its row is another: to be written, and told to who waits and to the gateway."""
        self.recorder.change(process.row)
        process.changed()
        self._told(process)

    def _effect(self, process: Process, effect: Effect, event: LifecycleEvent) -> None:
        row = process.row
        match effect:
            case "launch":
                self.births.begin(process)
            case "began":
                self._began(process)
            case "stop-signal":
                self.recorder.event("stopping", row, row.stop_reason or "", signal=row.stop_signal, by=row.ended_by)
                self.sending.stop(process)
            case "kill":
                self.recorder.event("killed", row, row.stop_reason or "", signal=int(signal.SIGKILL), by=row.ended_by)
                self.sending.kill(process)
            case "grace":
                self.grace(process)
            case "backoff":
                delay_s = event.delay_s if isinstance(event, machine.Ended) else 0.0
                self.backoff(process, delay_s)
            case "enqueue":
                self._loop.call_soon(self._enqueue, process)
            case "again":
                self.afterlife.again(process)
            case "revive":
                self.afterlife.revive(process)
            case "unpark":
                self.afterlife.unpark(process)
            case "renew":
                self.afterlife.renew(process)
            case "schedule":
                self.timetable.later(process)
            case "check":
                self.lives.check(process)
            case "stop-rest":
                self.remains.stop(process)
            case "watch":
                self.watch.begin(process, self._left)
            case "recess":
                self.afterlife.recess(process, event)
            case "settle":
                self.afterlife.settle(process)

    def grace(self, process: Process) -> None:
        """Arm the timer between stop signal and SIGKILL (a new daemon does so for what it finds stopping)."""
        if process.grace_timer is not None:
            process.grace_timer.cancel()
        row = process.row
        grace_s = row.spec.grace_s if row.grace_s is None else row.grace_s
        process.grace_timer = self.lives.vigil.call_later(
            grace_s, lambda: self.apply(process, machine.GraceElapsed())
        )

    def grace_for(self, process: Process, more_s: float) -> None:
        """A longer grace, from now on: it says that it is still at it."""
        if process.grace_timer is not None and process.grace_timer.left_s() < more_s:
            process.grace_timer.cancel()
            process.grace_timer = self.lives.vigil.call_later(
                more_s, lambda: self.apply(process, machine.GraceElapsed())
            )

    def backoff(self, process: Process, delay_s: float) -> None:
        """Arm the restart timer (a new daemon does so for what it finds in backoff)."""
        if process.backoff_timer is not None:
            process.backoff_timer.cancel()
        process.row.restart_boot_s = clock.boot_s() + delay_s
        process.backoff_timer = self._loop.call_later(delay_s, self.apply, process, machine.BackoffElapsed())

    def _began(self, process: Process) -> None:
        row = process.row
        row.barred = None
        self.table.began(process)
        probed = row.spec.kind == kind.MODEL or row.spec.ready is not None
        self.readiness(process, "began-model" if probed else "began")
        again = f"restart {row.restarts}" if row.restarts else ""
        self.recorder.event("started", row, again, pid=row.pid)
        process.close_fds()
        if not keeps_environ(row.spec):
            process.launch = None  # its file stays while it runs: it may be restarted as it was
        self.held_again(process)
        self._begun(process)
        self.lives.began(process)

    # --- the holder ---------------------------------------------------------------------------------------------

    def _left(self, process: Process, end: Exit) -> None:
        """A watched process outside the holder has ended."""
        row = process.row
        if row.ended:
            return
        if row.adopted and end.lost:
            row.reason = "it has ended; how, only its parent knows"
        self.ended(process, end)

    def _stop_remote(self, process: Process) -> None:
        if not process.row.ended:
            self.ended(process, Exit(0, None))

    def _ack(self, id_: str) -> None:
        if not self._acks:
            self._loop.call_soon(self.send_acks)
        self._acks.add(id_)

    def send_acks(self) -> None:
        """Before any later spawn of these ids: both go over one connection, in order."""
        acks, self._acks = self._acks, set()
        if acks and self.holding.connected:
            self.holding.ack(acks)


def _end_between_runs(row: Row) -> None:
    """It does not run: it ends now, with the status of its last run, if there was one."""
    ran, last = row.ended_s is not None, row.exit or ExitPart()
    row.exit = ExitPart(code=last.code, signal=last.signal, reason=row.stop_reason)
    row.started_s, row.ended_s = None, time.time()
    if row.lifecycle in ("backoff", "parked"):
        return  # why it was to be started again stays to be told
    row.reason = None if row.lifecycle == "scheduled" and ran else NEVER_BEGUN


def _memory(row: Row) -> int | None:
    return row.spec.limits.memory_bytes if row.spec.limits is not None else None
