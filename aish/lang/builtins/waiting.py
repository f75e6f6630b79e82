"""wait: until children have ended."""

from __future__ import annotations

from aish.lang.builtins.jobs import ask_aish
from aish.lang.builtins.letters import with_values
from aish.lang.control import CommandError, Interrupted
from aish.lang.digits import saturated
from aish.lang.job import STOPPED
from aish.lang.text import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.job import Job
    from aish.lang.runtime import Runtime

_GOES_ON = "bg or fg lets it go on"


def wait(rt: Runtime, argv: list[str]) -> int:
    """wait [-fn] [-p name] [pid | %job | @name ...]: until they have ended; the status of the last one."""
    options, words = with_values(argv, "fnp:")
    flags = {letter for letter, _ in options}
    name = next((value for letter, value in reversed(options) if letter == "p"), None)
    if name is not None:
        if not is_name(name.partition("[")[0]):
            raise CommandError(f"{name}: not a variable's name")
        rt.vars.unset(name)
    try:
        stops = rt.monitor and "f" not in flags
        if stops:
            rt.jobs.reap()  # one that was stopped may go on again
        if "n" in flags:
            return _wait_next(rt, words, name, stops=stops)
        if not words:
            for job in list(rt.jobs.jobs.values()):
                if job.state != STOPPED or not stops:
                    _wait_job(rt, job, stops=stops)
            for job in list(rt.jobs.jobs.values()):
                if job.state == STOPPED:
                    rt.complain(f"wait: warning: job {job.number} is stopped", hint=_GOES_ON)
            rt.jobs.finished.clear()
            return 0
        status = 0
        for word in words:
            try:
                status = _wait_word(rt, word, name, stops=stops)
            except CommandError as error:
                rt.complain_of("wait", error)
                status = error.status
        return status
    except Interrupted as error:
        if error.signo in rt.signals.traps:
            rt.signals.poll()
            return 128 + error.signo
        raise
    finally:
        if rt.coprocesses:
            from aish.lang import coprocesses

            coprocesses.look_after(rt)


def _wait_job(rt: Runtime, job: Job, *, stops: bool) -> int:
    """Until it has ended; or (`stops`) is stopped, which is said."""
    before = job.state
    for process in job.processes:
        rt.jobs.wait_for(rt, process, stops=stops)
    if job.state == STOPPED:
        rt.jobs.register(job)
        job.changed = False
        if before == STOPPED:
            rt.complain(f"wait: warning: job {job.number} is stopped", hint=_GOES_ON)
        elif rt.interactive:
            rt.error_line("\n" + job.line(rt.jobs.mark_of(job)))
        return job.status
    if rt.interactive and rt.monitor and job.number in rt.jobs.jobs:
        rt.jobs.tell(rt, job)
    rt.jobs.settle(rt)
    rt.jobs.remove(job)
    return job.status


def _job(rt: Runtime, word: str) -> Job:
    try:
        return rt.jobs.find(word)
    except CommandError as error:
        number = word[1:]
        if number.isdecimal() and saturated(number) in rt.jobs.told:
            return rt.jobs.told.pop(saturated(number))
        raise CommandError(error.message, status=127, hint=error.hint) from None


def _wait_word(rt: Runtime, word: str, name: str | None, *, stops: bool) -> int:
    if word[:1] == "%":
        job = _job(rt, word)
        status = _wait_job(rt, job, stops=stops)
        _tell(rt, name, job.processes[-1].pid)
        return status
    if rt.host.is_supervised(word):
        return ask_aish(rt, word, "wait")
    if not (word.isdecimal() and word.isascii()):
        raise CommandError(f"{word}: a process id or %job expected")
    pid = saturated(word)
    if pid in rt.jobs.finished:
        _tell(rt, name, pid)
        return rt.jobs.finished[pid]
    found = rt.jobs.find_pid(pid)
    if found is None:
        raise CommandError(f"{pid}: not a child of this shell", status=127)
    job, process = found
    _wait_job(rt, job, stops=stops)  # as in bash, all of a pipeline
    _tell(rt, name, pid)
    return process.status


def _tell(rt: Runtime, name: str | None, pid: int) -> None:
    """wait -p: which one it was."""
    if name is not None:
        rt.vars.set(name, str(pid))


def _wait_next(rt: Runtime, words: list[str], name: str | None, *, stops: bool) -> int:
    """wait -n: the first of the jobs that ends, or has ended and was not told yet."""
    wanted: list[Job] = []
    for word in words:
        if word[:1] == "%":
            wanted.append(_job(rt, word))
        elif word.isdecimal() and word.isascii():
            found = rt.jobs.find_pid(saturated(word))
            if found is not None:
                wanted.append(found[0])
            elif saturated(word) in rt.jobs.finished:
                _tell(rt, name, saturated(word))
                return rt.jobs.finished.pop(saturated(word))
            else:
                rt.complain(f"wait: {word}: not a child of this shell")
        else:
            rt.complain(f"wait: {word}: a process id or %job expected")
    if not words:
        wanted = list(rt.jobs.jobs.values())
    wanted = [job for job in wanted if job.state != STOPPED]
    job = rt.jobs.wait_any(rt, wanted, stops=stops) if wanted else None
    if job is None:
        return 127
    if rt.interactive and rt.monitor and job.number in rt.jobs.jobs:
        rt.jobs.tell(rt, job)
    rt.jobs.settle(rt)
    rt.jobs.remove(job)
    _tell(rt, name, job.processes[-1].pid)
    return job.status


TABLE: dict[str, Builtin] = {"wait": wait}
