"""What goes on around a process's runs: hooks, the check at its end, probes, notices, time-outs. Effects only; what
they mean for its life the conductor's machine decides."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Final

from aish.agents import parked
from aish.errors import DisconnectedError, StorageError
from aish.model import exit as exits
from aish.model.exit import Exit
from aish.model.moment import written
from aish.model.spec import PARK
from aish.model.state import RUNNING, STARTING, STOPPING, YES
from aish.supervisor.daemon import clock, notify, runs
from aish.supervisor.daemon.errands import AFTER, BEFORE, CHECK, ErrandError, Errands
from aish.supervisor.daemon.notify import Notices
from aish.supervisor.daemon.parking import may_park
from aish.supervisor.daemon.probe import Probes
from aish.supervisor.daemon.prober import Prober
from aish.supervisor.daemon.process import once
from aish.supervisor.daemon.secret import Secrets
from aish.supervisor.daemon.vigil import Vigil

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aish.supervisor.daemon.conductor import Conductor
    from aish.supervisor.daemon.process import Process
    from aish.wire.part import ExitPart
    from aish.wire.spec import SpecPart

MOST_STATUS_CHARS: Final = 200
MOST_DIGITS: Final = 18
MOST_EXTENSION_S: Final = 24 * 3600.0
WARN_SHARE: Final = 0.8


class Lives:
    def __init__(self, conductor: Conductor, runtime_folder: str) -> None:
        self.conductor = conductor
        launcher = conductor.launcher
        self.vigil = Vigil(asyncio.get_running_loop())
        self.errands = Errands(conductor.holding, launcher, self.vigil)
        self.errands.wanted, conductor.reach.errands = self._hook_wanted, self.errands.pids
        self.errands.written = lambda process, after: conductor.recorder.change(process.row, after=after)
        self.secrets = Secrets(self.errands)
        self.prober = Prober(conductor, Probes(self.errands, launcher.logs), self.vigil)
        self.fdstore = launcher.fdstore
        self.fdstore.refused = self._fds_refused
        self.notices = Notices(os.path.join(runtime_folder, "notify"), self._noticed, self._ours)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()
        self._afters: dict[str, asyncio.Future[None]] = {}
        """Done when the hook after a run that is being run is over."""
        self._loop = asyncio.get_running_loop()

    # --- before and while it runs -------------------------------------------------------------------------------

    async def prepare(self, process: Process) -> None:
        """Everything before a start: the hook, the socket for its notices, where its log begins.

        Raises ErrandError (the hook failed), StorageError, DisconnectedError.
        """
        while process.row.after_due is not None:  # the hook after the run before
            await process.change()
        spec = process.row.spec
        await self.fdstore.settled(process.id)
        if process.row.lifecycle != STARTING:
            raise ErrandError("it was given up before its start")
        if spec.before:
            end = await self.errands.run(process, BEFORE, spec.before, spec.hook_timeout_s)
            if end.code != 0:
                text = f"its hook before the start ended with {end.shell_status}; its output is in the log"
                raise ErrandError(text)
        if _notifies(spec):
            sock = self.notices.bind(process)
            await self.conductor.holding.store(notify.store_name(process.id), [sock.fileno()])
        logs = self.conductor.launcher.logs
        process.log_from = once({stream: logs.size(process.id, stream) for stream in ("out", "err")})

    def began(self, process: Process) -> None:
        """It runs: by our doing, or found so by a new daemon."""
        self.prober.began(process)
        self.limit_run(process)
        self.conductor.wrapups.taken_over(process)

    async def taken_over(self, process: Process) -> None:
        """What a daemon before listened to; where that was lost with everybody who had it, or nobody finds it any
        more, another one. Raises DisconnectedError."""
        if not _notifies(process.row.spec):
            return
        process.doing = self.notices.status(process.id)
        kept = await self.conductor.holding.fetch(notify.store_name(process.id))
        for fd in kept[1:]:
            os.close(fd)
        if kept:
            self.notices.listen(process, socket.socket(fileno=kept[0]))
        if not kept or self.notices.missing(process.id):
            await self._call_again(process)

    def call_again(self) -> None:
        """Something was taken away from the runtime folder: sockets that nobody finds any more are made again."""
        for process in self.conductor.table.alive():
            row = process.row
            told = _notifies(row.spec) and row.pid is not None and row.lifecycle in (RUNNING, STOPPING)
            if told and self.notices.missing(process.id):
                self._under_way(self._call_again(process))

    async def _call_again(self, process: Process) -> None:
        """Another socket at the same path: who sends there is heard from now on. What it has said to nobody, or says
        to the one before, is lost: until its first word its silence means nothing (`row.unheard`)."""
        row, conductor = process.row, self.conductor
        row.unheard = True
        conductor.recorder.change(row)
        try:
            sock = self.notices.bind(process)
        except StorageError as error:
            conductor.recorder.event("fault", row, f"it cannot be heard: {error}")
            return
        conductor.recorder.event("unheard", row, "its socket for sd_notify was lost and made again")
        with contextlib.suppress(DisconnectedError):  # if we die, too, before the next one has it: once more
            await conductor.holding.store(notify.store_name(process.id), [sock.fileno()])

    def _ours(self, process: Process, pid: int) -> bool:
        row = process.row
        leader = row.pid if row.pid is not None else row.before[0] if row.before is not None else None
        return pid == leader or pid in self.conductor.reach.members(row)

    def _noticed(self, process: Process, said: dict[str, str], fds: list[int]) -> None:
        """sd_notify(3)'s words. What is unknown is for others."""
        row = process.row
        if row.unheard:
            row.unheard = False
            self.conductor.recorder.change(row)
        self._passed(process, said, fds)
        if row.lifecycle not in (STARTING, RUNNING, STOPPING):
            return  # these are its last words
        tells = row.spec.ready is not None and row.spec.ready.notify
        if tells and said.get("READY") == "1" and row.ready != YES:
            self.conductor.readiness(process, "probe-yes")
            self.conductor.recorder.event("ready", row)
        if "STATUS" in said and process.doing != (status := said["STATUS"][:MOST_STATUS_CHARS]):
            process.doing = status
            self.notices.keep_status(process.id, status)
        if said.get("WATCHDOG") == "1":
            process.watchdog_s = self.vigil.now_s()
        elif said.get("WATCHDOG") == "trigger":
            self.unhealthy(process, "it says so itself (WATCHDOG=trigger)")
        more = said.get("EXTEND_TIMEOUT_USEC", "")
        if more.isdecimal() and len(more) <= MOST_DIGITS:
            more_s = min(MOST_EXTENSION_S, int(more) / 1e6)
            self._extend(process, more_s)

    def _passed(self, process: Process, said: dict[str, str], fds: list[int]) -> None:
        """The descriptors that came with its words, and what it says about those that are kept."""
        if said.get("FDSTORE") == "1":
            self.fdstore.put(process, said.get("FDNAME"), fds, polled=said.get("FDPOLL") != "0")
        elif fds:
            self.fdstore.close_after(process, fds)
        if said.get("FDSTOREREMOVE") == "1" and said.get("FDNAME"):
            self.fdstore.remove(process, said["FDNAME"])

    def _fds_refused(self, process: Process, text: str) -> None:
        self.conductor.recorder.event("fds-refused", process.row, text)

    # --- health and time ----------------------------------------------------------------------------------------

    def unhealthy(self, process: Process, reason: str) -> None:
        """It does not do its job: it is ended and counts as failed, and its restart policy decides."""
        row, conductor = process.row, self.conductor
        if row.lifecycle != RUNNING or row.checking or row.cause is not None:
            return
        row.cause, row.reason = exits.UNHEALTHY, reason
        conductor.recorder.event("unhealthy", row, reason)
        conductor.readiness(process, "probe-no")
        self.end_unhealthy(process)
        conductor.changed(process)

    def end_unhealthy(self, process: Process) -> None:
        """Its stop signal, and SIGKILL after its grace; once more where the holder died before it had done so."""
        sending = self.conductor.sending
        if process.health_timer is not None:
            process.health_timer.cancel()
        sending.stop(process)
        process.health_timer = self.vigil.call_later(process.row.spec.grace_s, lambda: sending.kill(process))

    def limit_run(self, process: Process) -> None:
        """Have it stopped for good when this run has taken as long as it may, and say so a while before."""
        row, most_s = process.row, process.row.spec.run_timeout_s
        for timer in (process.run_timer, process.run_warning):
            if timer is not None:
                timer.cancel()
        process.run_timer = process.run_warning = None
        if most_s is None or row.lifecycle != RUNNING:
            return
        ran_s = runs.ran_s(row, clock.boot_s())
        process.run_timer = self._loop.call_later(max(0.0, most_s - ran_s), self._timed_out, process, most_s)
        warned_s = WARN_SHARE * most_s
        if ran_s < warned_s:
            process.run_warning = self._loop.call_later(warned_s - ran_s, self._warn_of_time, process, most_s)

    def _warn_of_time(self, process: Process, most_s: float) -> None:
        text = f"{100 * WARN_SHARE:.0f} % of its time ({written(most_s)}) are over"
        used_s = runs.ran_s(process.row, clock.boot_s())
        self.conductor.recorder.event("warned", process.row, text, what="wall", used=used_s, budget=most_s)

    def _timed_out(self, process: Process, most_s: float) -> None:
        process.row.reason = f"it ran longer than {most_s:g} s"
        self.conductor.stop(process, None, exits.TIMEOUT)

    def _extend(self, process: Process, more_s: float) -> None:
        """It asks for `more_s` from now: to get ready, to run, or to end (EXTEND_TIMEOUT_USEC of sd_notify(3))."""
        if process.start_due_s is not None:
            process.start_due_s = max(process.start_due_s, self.vigil.now_s() + more_s)
        due_s = self._loop.time() + more_s
        if process.run_timer is not None and process.run_timer.when() < due_s:
            process.run_timer.cancel()
            most_s = process.row.spec.run_timeout_s or 0.0
            process.run_timer = self._loop.call_at(due_s, self._timed_out, process, most_s)
        if process.grace_timer is not None:
            self.conductor.grace_for(process, more_s)

    # --- its end ------------------------------------------------------------------------------------------------

    def check(self, process: Process) -> None:
        """It has ended with 0: the command that decides is asked, and `checked` told."""
        if process.id not in self._tasks:  # a new holder: the one before was asked, and it goes on
            self._begin(process, self._check(process))

    async def _check(self, process: Process) -> None:
        row, spec = process.row, process.row.spec
        process.doing = "checking: " + b" ".join(spec.check).decode(errors="backslashreplace")[:60]
        why, code = None, 1
        try:
            end = await self.errands.run(process, CHECK, spec.check, spec.hook_timeout_s, _told(row.exit))
            code = end.shell_status or 0
            why = f"it ended with 0, but its check with {code}" if code else None
        except ErrandError as error:
            why = f"it ended with 0, but its check failed: {error}"
        if not row.checking:  # it was given up meanwhile
            self.errands.settled(process, CHECK)
            return
        if why is None:
            self.conductor.ended(process, Exit(0, None), row.ended_s, checked=True)
        else:
            row.reason = why
            end = Exit(min(code, 255), None)
            self.conductor.ended(process, end, row.ended_s, cause=exits.CHECK, checked=True)
        self.errands.settled(process, CHECK)

    def ended(self, process: Process) -> None:
        """A run is over: nobody looks after it any more."""
        self.prober.ended(process)
        heard = self.notices.hear(process)
        self.notices.close(process.id, remove=True)
        if process.row.spec.kept_fds_most and not heard:
            self.fdstore.then(process.id, self._last_words(process))
        elif _notifies(process.row.spec):
            self.conductor.holding.drop(notify.store_name(process.id))
        process.watchdog_s = process.start_due_s = process.hopeless = None
        process.row.unheard = False  # the next run has a socket of its own
        for timer in (process.run_timer, process.run_warning, process.health_timer):
            if timer is not None:
                timer.cancel()
        process.run_timer = process.run_warning = process.health_timer = None

    async def _last_words(self, process: Process) -> None:
        """What it said to a daemon that died, before it ended: it may have given descriptors away."""
        holding = self.conductor.holding
        try:
            kept = await holding.fetch(notify.store_name(process.id))
        except DisconnectedError:
            return
        for fd in kept:
            with socket.socket(fileno=fd) as sock:
                sock.setblocking(False)
                self.notices.read(process, sock)
        holding.drop(notify.store_name(process.id))

    async def after(self, process: Process) -> None:
        """The hook after a run, if it is due: never two at once. That it fails is noted, no more."""
        row, spec = process.row, process.row.spec
        while (before := self._afters.get(process.id)) is not None:
            await asyncio.wait({before})
        due = row.after_due
        if due is None:
            return
        self._afters[process.id] = asyncio.get_running_loop().create_future()
        try:
            end = await self.errands.run(process, AFTER, spec.after, spec.hook_timeout_s, _told(due))
            why = None if end.code == 0 else f"it ended with {end.shell_status}"
        except ErrandError as error:
            why = str(error)
        finally:
            self._afters.pop(process.id).set_result(None)
        if why is not None:
            self.conductor.recorder.event("hook-failed", row, f"after its end: {why}")
        if row.after_due is due:
            row.after_due = None
        self.errands.settled(process, AFTER)
        self.conductor.recorder.change(row)
        process.changed()

    def after_run(self, process: Process) -> None:
        """Between two runs: the next one waits for it."""
        if process.row.after_due is not None:
            self._under_way(self.after(process))

    def _hook_wanted(self, id_: str, what: str) -> bool:
        """Whether its end still means something to the process."""
        process = self.conductor.table.get(id_)
        if process is None:
            return False
        row = process.row
        match what:
            case "before":
                return row.lifecycle == STARTING and row.preparing and bool(row.spec.before)
            case "check":
                return row.checking
            case "after":
                return row.after_due is not None
            case _:
                return False

    def stopped(self, process: Process) -> None:
        """Somebody wants it to end: what is run before its start, or decides about its end, is given up."""
        row = process.row
        if process.launching:
            self.errands.give_up(process, BEFORE)
            self.secrets.give_up(process)
        if row.checking:
            task = self._tasks.get(process.id)
            if task is not None:
                task.cancel()
            row.checking = False
            self.errands.settled(process, CHECK)
            self.conductor.ended(process, Exit(0, None), row.ended_s, checked=True)

    def _under_way(self, work: Coroutine[object, object, None]) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    def _begin(self, process: Process, work: Coroutine[object, object, None]) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks[process.id] = task
        task.add_done_callback(lambda done: self._done(process.id, done))

    def _done(self, id_: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(id_) is task:
            del self._tasks[id_]


def keeps_environ(spec: SpecPart) -> bool:
    """Whether its captured environment is needed once it runs: for another run, or for what is run for it."""
    probes = [probe for probe in (spec.ready, spec.live) if probe is not None and probe.command]
    again = spec.restart != "never" or spec.when_reserved == PARK
    return bool(again or spec.schedule or spec.group or spec.check or spec.after or probes)


def variables(process: Process, notices_path: str) -> dict[str, str]:
    """What a process that tells by itself has to know."""
    spec = process.row.spec
    found = {notify.VARIABLE: notices_path} if _notifies(spec) else {}
    if may_park(process.row):
        found[parked.VARIABLE] = parked.told(process.id, goes_on=process.row.goes_on)
    if spec.live is not None and spec.live.notify:
        found["WATCHDOG_USEC"] = str(int(spec.live.timeout_s * 1e6))
    return found


def _notifies(spec: SpecPart) -> bool:
    return spec.kept_fds_most > 0 or any(probe is not None and probe.notify for probe in (spec.ready, spec.live))


def _told(end: ExitPart | None) -> dict[str, str]:
    if end is None:
        return {}
    pairs = {"AISH_EXIT_CODE": end.code, "AISH_EXIT_SIGNAL": end.signal, "AISH_EXIT_REASON": end.reason}
    return {name: "" if value is None else str(value) for name, value in pairs.items()}
