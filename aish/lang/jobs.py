"""The table of jobs: which there are, waiting for them, and whose turn at the terminal it is.

Only this file waits for children. Every process is waited for by its own id, never with -1: a process that
somebody else in this program started is not ours to reap.
"""

from __future__ import annotations

import os

from aish.lang import signals
from aish.lang.control import Break, CommandError, Interrupted
from aish.lang.digits import saturated
from aish.lang.job import DONE, RUNNING, STOPPED, Job, Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.lang.runtime import Runtime
    from aish.lang.terminal import Terminal

_REMEMBERED = 1024
"""Exit statuses that are kept for a later `wait PID`."""
_STOPS_MS = 200
"""So often `wait -n` looks whether its jobs were stopped: a descriptor of a process tells of its end alone."""


class JobTable:
    """Jobs in the background or stopped, by number; and the statuses of those that were."""

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}
        self.order: list[Job] = []
        """The current job (%+) is the last one, the previous one (%-) before it."""
        self.inherited: dict[int, Job] = {}
        """In a copy of the shell: the jobs of the one it was made of, to be shown and named."""
        self.inherited_order: list[Job] = []
        self.last_pid: int | None = None
        self.finished: dict[int, int] = {}
        self.loose: list[Job] = []
        """Commands of <( ) and >( ): no jobs to people, but `wait` may ask for them."""
        self.told: dict[int, Job] = {}
        """Jobs whose end was told before this prompt: a `wait %1` that was meant for one still finds it."""
        self.terminal: Terminal | None = None

    # ------------------------------------------------------------------------------------- the table

    def register(self, job: Job) -> None:
        """Give a job a number. One that is stopped becomes the current one; one that runs only if none is stopped."""
        if not job.number:
            job.number = max(self.jobs, default=0) + 1
            self.jobs[job.number] = job
            self.order.insert(0, job)
        if job.state == STOPPED:
            self.make_current(job)
        else:
            self.choose_current()

    def make_current(self, job: Job) -> None:
        """%+ is `job`. %- is the one that was current if it is stopped, else the newest other one that is or runs."""
        before = next((other for other in reversed(self.order) if other is not job), None)
        if before is None or before.state != STOPPED:
            older = [other for other in self.order if other is not job and other.number < job.number]
            stopped = [other for other in older if other.state == STOPPED] if job.state == STOPPED else []
            pool = stopped or [
                other
                for other in (older if job.state == RUNNING else self.order)
                if other is not job and other.state == RUNNING
            ]
            before = max(pool, key=_number, default=before)
        for item in (before, job):
            if item is not None:
                if item in self.order:
                    self.order.remove(item)
                self.order.append(item)

    def choose_current(self) -> None:
        """A job began, went on or is gone: a stopped one is current, else the newest that runs."""
        stopped = [job for job in self.order if job.state == STOPPED]
        running = [job for job in self.order if job.state == RUNNING]
        if stopped:
            recent = [job for job in self.order[-2:] if job in stopped]
            self.make_current(recent[-1] if recent else max(stopped, key=_number))
        elif running:
            self.make_current(max(running, key=_number))

    def remove(self, job: Job) -> None:
        """Take a job out, and keep its statuses for a later `wait`."""
        self.jobs.pop(job.number, None)
        if job in self.order:
            marked = job in self.order[-2:]
            self.order.remove(job)
            if marked:
                self.choose_current()
        if job in self.loose:
            self.loose.remove(job)
        for process in job.processes:
            if process.state == DONE:
                self.finished[process.pid] = process.status
        while len(self.finished) > _REMEMBERED:
            del self.finished[next(iter(self.finished))]

    def disown(self, job: Job) -> None:
        """Forget a job: it is this shell's child and nothing else."""
        self.jobs.pop(job.number, None)
        if job in self.order:
            self.order.remove(job)

    def listed(self) -> list[Job]:
        """What `jobs` shows."""
        return list((self.jobs or self.inherited).values())

    def mark_of(self, job: Job) -> str:
        """+ for the current job, - for the previous one."""
        order = self._named()[1]
        if order and order[-1] is job:
            return "+"
        return "-" if len(order) > 1 and order[-2] is job else " "

    def find(self, spec: str) -> Job:
        """The job that %n, %+, %-, %name or %?text means. Raises CommandError."""
        word = spec.removeprefix("%")
        jobs, order = self._named()
        if word in ("", "%", "+"):
            found = order[-1:]
        elif word == "-":
            found = order[-2:-1] or order[-1:]
        elif word.isdecimal():
            found = [jobs[saturated(word)]] if saturated(word) in jobs else []
        elif word[0] == "?":
            found = [job for job in order if word[1:] in job.text]
        else:
            found = [job for job in order if job.text.startswith(word)]
        if not found:
            spec = "current" if word in ("", "%", "+", "-") else spec
            raise CommandError(f"{spec}: no such job", hint="`jobs` lists them")
        if len(found) > 1:
            raise CommandError(f"{spec}: ambiguous job spec", hint="it means more than one job: `jobs` lists them")
        return found[0]

    def _named(self) -> tuple[dict[int, Job], list[Job]]:
        """The jobs that %words mean, by number and in order: in a copy of the shell those that it came with."""
        return (self.jobs, self.order) if self.jobs or not self.inherited else (self.inherited, self.inherited_order)

    def find_pid(self, pid: int) -> tuple[Job, Process] | None:
        """The job and the process with this id."""
        for job in (*self.order, *self.loose):
            for process in job.processes:
                if process.pid == pid:
                    return job, process
        return None

    def add_loose(self, job: Job) -> None:
        """A process substitution has begun; those that ended are taken note of."""
        for other in list(self.loose):
            for process in other.processes:
                if process.state == DONE or (_look(process, os.WNOHANG) and process.state == DONE):
                    self.remove(other)
        self.loose.append(job)
        self.last_pid = job.processes[-1].pid

    def forget_all(self) -> None:
        """In a forked child: the parent's jobs are not this process's children."""
        if self.jobs:
            self.inherited = {number: job for number, job in self.jobs.items() if job.state != DONE}
            self.inherited_order = [job for job in self.order if job.state != DONE]
        self.jobs.clear()
        self.order.clear()
        self.loose.clear()
        self.finished.clear()
        self.terminal = None

    def reap(self) -> list[Job]:
        """Look, without waiting, what became of the jobs; those that changed."""
        changed = []
        for job in list(self.order):
            before = job.state
            for process in job.processes:
                if process.state != DONE:
                    _look(process, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            if job.state != before:
                job.changed = True
                changed.append(job)
        return changed

    # --------------------------------------------------------------------------------------- waiting

    def wait_foreground(self, rt: Runtime, job: Job, *, settles: bool = True) -> int:
        """Wait until every process of the job has ended, or the job is stopped. Gives $? . Behind a command other
        jobs are settled, behind a substitution within one not yet."""
        rt.signals.mode = signals.WAITING
        try:
            stops = rt.monitor and (rt.interactive or not rt.lasting)  # in a session nobody would let it go on
            flags = os.WUNTRACED if stops else 0
            if stops and job.pgid and rt.signals.stop_is_due():
                try:
                    self.signal(job, signals.SIGTSTP)
                except OSError:
                    pass  # it has just ended
            for process in job.processes:
                while process.state == RUNNING and _look(process, flags):
                    pass
        finally:
            rt.signals.mode = signals.RUNNING
        rt.signals.stop_asked_s = 0.0
        if self.terminal is not None and job.pgid:
            self.terminal.take_back(job)
        if job.state == STOPPED:
            self.register(job)
            rt.error_line("\n" + job.line(self.mark_of(job)))
            if rt.interactive and rt.loops:
                raise Break(rt.loops, job.status)  # the next round would come at once, and stopping that one, too
            return job.status
        if job.number:
            self.remove(job)
        killed = _killed_by(job)
        interrupted = killed == signals.SIGINT and rt.interactive
        if not interrupted:
            _report_death(rt, job)
        if settles:
            rt.settle_jobs()
        rt.signals.waited(killed, apart=rt.interactive and bool(job.pgid))
        if interrupted:
            if rt.loops or signals.SIGINT not in rt.signals.traps:
                raise Interrupted(killed)  # the rest of the line was not wanted either
            rt.error_line("")
        return job.status

    def wait_for(self, rt: Runtime, process: Process, *, stops: bool = False) -> int:
        """The built-in `wait` for one process, until it has ended or (`stops`) is stopped. Raises Interrupted when
        a trapped signal comes first."""
        flags = os.WUNTRACED if stops else 0
        over = (DONE, STOPPED) if stops else (DONE,)
        rt.signals.mode = signals.PAUSED
        try:
            if arrived := rt.signals.that_cut():  # just before the mode was set
                raise Interrupted(arrived)
            while process.state not in over and _look(process, flags):
                pass
        finally:
            rt.signals.mode = signals.RUNNING
        return process.status

    def wait_any(self, rt: Runtime, jobs: list[Job], *, stops: bool = False) -> Job | None:
        """The first of the jobs that is done; None where (`stops`) all that are left are stopped. Raises Interrupted
        when a trapped signal comes first."""
        import select

        flags = os.WNOHANG | (os.WUNTRACED if stops else 0)
        while True:
            for process in [process for job in jobs for process in job.processes if process.state != DONE]:
                _look(process, flags)
            for job in jobs:
                if job.state == DONE:
                    return job
            if stops and all(job.state == STOPPED for job in jobs):
                return None
            poll = select.poll()
            running = {}
            try:
                for process in [process for job in jobs for process in job.processes if process.state != DONE]:
                    fd = os.pidfd_open(process.pid)
                    running[fd] = process
                    poll.register(fd, select.POLLIN)
                rt.signals.mode = signals.PAUSED
                if arrived := rt.signals.that_cut():  # just before the mode was set
                    raise Interrupted(arrived)
                poll.poll(_STOPS_MS if stops else None)
            finally:
                rt.signals.mode = signals.RUNNING
                for fd in running:
                    os.close(fd)

    # ---------------------------------------------------------------------------------- job control

    def monitor(self, rt: Runtime, on: bool) -> None:
        """`set -m`: own process groups for jobs, and the terminal passed to and fro where there is one."""
        if not on:
            if self.terminal is not None:
                self.terminal.release()
            self.terminal = None
            return
        from aish.lang.terminal import take_control

        self.terminal = take_control(rt)

    def resume(self, rt: Runtime, job: Job, *, foreground: bool) -> None:
        """Let a job go on; with `foreground`, at the terminal."""
        if foreground and self.terminal is not None:
            self.terminal.give(job.pgid, job.modes)
        self.signal(job, signals.SIGCONT)
        if foreground:
            self.forward_missed(rt, job)
        else:
            self.choose_current()

    def forward_missed(self, rt: Runtime, job: Job) -> None:
        """A Ctrl-C that came too early for a job that is now in the foreground: to all of it, whatever the shell does
        about the signal as well."""
        if rt.pending and rt.signals.missed():
            try:
                self.signal(job, signals.SIGINT)
            except OSError:
                pass  # it has ended meanwhile, or has become somebody else's

    def tell_news(self, rt: Runtime) -> None:
        """Tell what became of jobs in the background since this was told last; those that are done are forgotten."""
        self.reap()
        for job in sorted(self.order, key=_number):
            if job.changed:
                self.tell(rt, job)
                if job.state == DONE:
                    self.told[job.number] = job

    def settle(self, rt: Runtime) -> None:
        """A shell without a prompt has waited for something: as in bash, jobs in the background that were killed are
        told and forgotten, and in one that runs a text (`-c`) those that just ended, too. Statuses are kept."""
        if rt.interactive or rt.lasting or (rt.from_string and rt.posix):
            return
        self.reap()
        for job in sorted(self.order, key=_number):
            killed = job.ended and _killed_by(job)
            if job.ended and (killed or rt.from_string):
                if not _report_death(rt, job, unless=(signals.SIGTERM, *rt.signals.traps)) and rt.monitor:
                    rt.error_line(job.line(self.mark_of(job)))
                self.remove(job)

    def has_news(self) -> bool:
        """Whether there is any to be told."""
        self.reap()
        return any(job.changed for job in self.order)

    def tell(self, rt: Runtime, job: Job) -> None:
        """Tell of one job."""
        job.changed = False
        if job.state != RUNNING:
            rt.error_line(job.line(self.mark_of(job)))
        if job.state == DONE:
            self.remove(job)

    def hang_up(self) -> None:
        """The shell ends: SIGHUP for its jobs. One that is stopped must go on to notice."""
        for job in list(self.order):
            if job.state == DONE or job.kept:
                continue
            for signo in (signals.SIGHUP, *([signals.SIGCONT] if job.state == STOPPED else [])):
                try:
                    self.signal(job, signo)
                except OSError:
                    break  # it has just ended

    def signal(self, job: Job, signo: int) -> None:
        """Send a signal to all of a job. Raises OSError."""
        if signo == signals.SIGCONT:
            for process in job.processes:
                if process.state == STOPPED:
                    process.raw = None  # `wait` behind it is to wait
        if job.pgid:
            os.killpg(job.pgid, signo)
            return
        for process in job.processes:
            if process.state != DONE:
                os.kill(process.pid, signo)


def _number(job: Job) -> int:
    return job.number


def _look(process: Process, flags: int) -> bool:
    """Ask for news of a process; False where it is none of ours any more."""
    try:
        pid, raw = os.waitpid(process.pid, flags)
    except ChildProcessError:
        process.raw = process.raw if process.state == DONE else 127 << 8
        return False
    if pid:
        process.raw = raw
    return True


def _killed_by(job: Job) -> int:
    raw = job.processes[-1].raw
    return os.WTERMSIG(raw) if raw is not None and os.WIFSIGNALED(raw) else 0


def _report_death(rt: Runtime, job: Job, unless: Sequence[int] = ()) -> bool:
    """Tell of a death that the user did not bring about; whether there was one."""
    signo = _killed_by(job)
    given_up = rt.lasting and bool(rt.signals.arrived)  # by the session, which has ended it
    if not signo or given_up or signo in (signals.SIGINT, signals.SIGPIPE, *unless):
        return False
    from aish.lang import signal_names

    raw = job.processes[-1].raw
    core = " (core dumped)" if raw is not None and os.WCOREDUMP(raw) else ""
    rt.complain(f"{job.text}: {signal_names.describe(signo)}{core}")
    return True
