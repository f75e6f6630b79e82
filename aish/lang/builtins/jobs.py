"""jobs fg bg disown suspend"""

from __future__ import annotations

import os

from aish.lang import signals
from aish.lang.builtins.letters import letters
from aish.lang.control import CommandError
from aish.lang.digits import saturated
from aish.lang.job import DONE, RUNNING, STOPPED
from aish.lang.process import NOT_FOUND, run_aish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.job import Job
    from aish.lang.runtime import Runtime


def ask_aish(rt: Runtime, word: str, *words: str) -> int:
    """`aish words… @name`: what is supervised is no child of this shell, and signalled, awaited and shown by the
    daemon. Raises CommandError where this shell has no such verb."""
    if not rt.host.is_verb([*words, word]):
        raise CommandError(f"{word}: no supervisor in this shell", status=NOT_FOUND)
    return run_aish(rt, ["aish", *words, word])


def jobs(rt: Runtime, argv: list[str]) -> int:
    """jobs [-lnprs] [%job | @name ...]; jobs -x command [words]: what runs in the background or is stopped."""
    if argv[1:2] == ["-x"]:
        return _with_groups(rt, argv[2:])
    flags, words = letters(argv, "lnprs")
    rt.jobs.reap()
    status = 0
    for word in words:
        if rt.host.is_supervised(word):
            status = int(ask_aish(rt, word, "ps", *(["--quiet"] if "p" in flags else [])) != 0) or status
    if words and not (words := [word for word in words if not rt.host.is_supervised(word)]):
        return status
    chosen = [] if words else rt.jobs.listed()
    for word in words:
        try:
            chosen.append(rt.jobs.find(word))
        except CommandError as error:
            rt.complain(f"jobs: {error.message}", hint=error.hint)
            status = 1
    for job in chosen:
        if job.killed and not rt.interactive and not words:
            rt.jobs.remove(job)  # as in bash: nobody is told in a script of what it ended itself
            continue
        if ("r" in flags and job.state != RUNNING) or ("s" in flags and job.state != STOPPED):
            continue
        if "n" in flags and not job.changed:
            continue
        job.changed = False
        if "p" in flags:
            rt.write(f"{job.pgid or job.processes[0].pid}\n")
        else:
            rt.write(line(rt, job, long="l" in flags) + "\n")
        if job.state == DONE:
            rt.jobs.remove(job)
    return status


def _with_groups(rt: Runtime, words: list[str]) -> int:
    """jobs -x: a command whose %job words become process groups."""
    if not words:
        return 0
    from aish.lang.invocation import invoke

    groups = []
    for word in words:
        try:
            job = rt.jobs.find(word) if word[:1] == "%" else None
        except CommandError:  # a word like any other, then
            job = None
        groups.append(word if job is None else str(job.pgid or job.processes[0].pid))
    return invoke(rt, groups)


def line(rt: Runtime, job: Job, *, long: bool = False) -> str:
    """The line that `jobs` and the prompt show."""
    return job.line(rt.jobs.mark_of(job), long=long, posix=rt.posix)


def _job(rt: Runtime, argv: list[str]) -> Job:
    if len(argv) > 2:
        raise CommandError("one job at a time")
    word = argv[1] if len(argv) > 1 else "%+"
    if word[0] != "%" and word.isdecimal():
        word = "%" + word
    return rt.jobs.find(word)


def fg(rt: Runtime, argv: list[str]) -> int:
    """fg [%job | @name]: bring a job to the terminal."""
    if len(argv) == 2 and rt.host.is_supervised(argv[1]):
        if not rt.host.is_verb(["attach", argv[1]]):
            hint = f"`aish logs -f {argv[1]}` shows what it writes, `aish cont {argv[1]}` lets a paused one go on"
            raise CommandError(f"{argv[1]}: not a job of this shell", hint=hint)
        return ask_aish(rt, argv[1], "attach")
    if not rt.monitor:
        raise CommandError("no job control here", hint="set -m turns it on")
    rt.jobs.reap()
    job = _job(rt, argv)
    if job.state == DONE:
        raise CommandError("job has terminated")
    rt.jobs.make_current(job)
    rt.write(job.shown + "\n")
    rt.jobs.resume(rt, job, foreground=True)
    return rt.jobs.wait_foreground(rt, job)


def bg(rt: Runtime, argv: list[str]) -> int:
    """bg [%job | @name ...]: let stopped jobs go on in the background."""
    _, words = letters(argv, "")
    if len(words) == 1 and rt.host.is_supervised(words[0]):
        return ask_aish(rt, words[0], "cont")
    if not rt.monitor:
        raise CommandError("no job control here", hint="set -m turns it on")
    rt.jobs.reap()
    status = 0
    for word in words or ["%+"]:
        try:
            _continue(rt, _job(rt, ["bg", word]))
        except CommandError as error:
            rt.complain(f"bg: {error.message}", hint=error.hint)
            status = 1
    return status


def _continue(rt: Runtime, job: Job) -> None:
    if job.state == DONE:
        raise CommandError("job has terminated")
    if job.state == RUNNING:
        rt.complain(f"bg: job {job.number} already in background")
        return
    rt.write(f"[{job.number}]{rt.jobs.mark_of(job).strip()} {job.shown} &\n")
    rt.jobs.resume(rt, job, foreground=False)
    rt.jobs.last_pid = job.processes[-1].pid


def disown(rt: Runtime, argv: list[str]) -> int:
    """disown [-ahr] [%job | pid ...]: forget jobs, so that they outlive this shell; -h: only no SIGHUP for them."""
    flags, words = letters(argv, "ahr")
    rt.jobs.reap()
    status = 0
    if words:
        chosen = []
        for word in words:
            try:
                chosen.append(_job_or_pid(rt, word))
            except CommandError as error:
                rt.complain(f"disown: {error.message}", hint=error.hint)
                status = 1
    elif flags.strip("h"):
        chosen = list(rt.jobs.jobs.values())
    else:
        chosen = [rt.jobs.find("%+")]
    for job in chosen:
        if "r" in flags and job.state != RUNNING:
            continue
        if "h" in flags:
            job.kept = True
            continue
        if job.state == STOPPED:
            hint = "kill -CONT lets it go on; it is in no list any more"
            rt.complain(f"disown: warning: job {job.number} is stopped, its process group is {job.pgid}", hint=hint)
        rt.jobs.disown(job)
    return status


def _job_or_pid(rt: Runtime, word: str) -> Job:
    if word.isdecimal():
        found = rt.jobs.find_pid(saturated(word))
        if found is not None:
            return found[0]
    return rt.jobs.find(word)


def suspend(rt: Runtime, argv: list[str]) -> int:
    """suspend [-f]: stop this shell until it gets SIGCONT."""
    flags, words = letters(argv, "f")
    if words:
        raise CommandError("too many arguments", status=2)
    if "f" not in flags and (not rt.monitor or "login_shell" in rt.shopt):
        raise CommandError("no job control here, or a login shell", hint="-f does it all the same")
    os.kill(os.getpid(), signals.SIGSTOP)
    return 0


TABLE: dict[str, Builtin] = {"jobs": jobs, "fg": fg, "bg": bg, "disown": disown, "suspend": suspend}
