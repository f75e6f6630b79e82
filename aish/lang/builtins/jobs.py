"""jobs fg bg wait kill"""

from __future__ import annotations

import os

from aish.lang import jobs as table
from aish.lang import signals
from aish.lang.control import CommandError, Interrupted
from aish.lang.process import NOT_FOUND, run_aish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.jobs import Job, Process
    from aish.lang.runtime import Runtime

_TIMED_OUT = 124
"""Of `aish wait`, as of timeout(1)."""


def _aish(rt: Runtime, word: str, *words: str) -> int:
    """`aish words… @name`: what is supervised is no child of this shell, and signalled, awaited and shown by the
    daemon. Raises CommandError where this shell has no such verb."""
    if not rt.host.is_verb([*words, word]):
        raise CommandError(f"{word}: no supervisor in this shell", status=NOT_FOUND)
    return run_aish(rt, ["aish", *words, word])


def jobs(rt: Runtime, argv: list[str]) -> int:
    """jobs [-l|-p] [%job | @name ...]: what runs in the background or is stopped."""
    words = argv[1:]
    flags = ""
    while words and len(words[0]) > 1 and words[0][0] == "-":
        flags += words.pop(0)[1:]
    if flags.strip("lprs-"):
        raise CommandError(f"-{flags}: unknown option", status=2, hint="options are: l p r s")
    rt.jobs.reap()
    status = 0
    for word in words:
        if rt.host.is_supervised(word):
            status = int(_aish(rt, word, "ps", *(["--quiet"] if "p" in flags else [])) != 0) or status
    if words and not (words := [word for word in words if not rt.host.is_supervised(word)]):
        return status
    chosen = [rt.jobs.find(word) for word in words] if words else list(rt.jobs.jobs.values())
    for job in chosen:
        if ("r" in flags and job.state != table.RUNNING) or ("s" in flags and job.state != table.STOPPED):
            continue
        if "p" in flags:
            rt.write(f"{job.pgid or job.processes[0].pid}\n")
        else:
            rt.write(line(rt, job, long="l" in flags) + "\n")
        if job.state == table.DONE:
            rt.jobs.remove(job)
    return status


def line(rt: Runtime, job: Job, *, long: bool = False) -> str:
    """The line that `jobs` and the prompt show."""
    return job.line(rt.jobs.mark_of(job), long=long)


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
        return _aish(rt, argv[1], "attach")
    if not rt.monitor:
        raise CommandError("no job control here", hint="set -m turns it on")
    rt.jobs.reap()
    job = _job(rt, argv)
    if job.state == table.DONE:
        raise CommandError("job has terminated")
    rt.jobs.make_current(job)
    rt.write(job.text + "\n")
    rt.jobs.resume(rt, job, foreground=True)
    return rt.jobs.wait_foreground(rt, job)


def bg(rt: Runtime, argv: list[str]) -> int:
    """bg [%job | @name]: let a stopped job go on in the background."""
    if len(argv) == 2 and rt.host.is_supervised(argv[1]):
        return _aish(rt, argv[1], "cont")
    if not rt.monitor:
        raise CommandError("no job control here", hint="set -m turns it on")
    rt.jobs.reap()
    job = _job(rt, argv)
    if job.state == table.DONE:
        raise CommandError("job has terminated")
    if job.state == table.RUNNING:
        rt.complain(f"bg: job {job.number} already in background")
        return 0
    rt.write(f"[{job.number}]{rt.jobs.mark_of(job)} {job.text} &\n")
    rt.jobs.resume(rt, job, foreground=False)
    rt.jobs.last_pid = job.processes[-1].pid
    return 0


# --------------------------------------------------------------------------------------------- wait


def wait(rt: Runtime, argv: list[str]) -> int:
    """wait [pid | %job | @name ...]: until they have ended; the status of the last one."""
    words = [word for word in argv[1:] if word != "--"]
    try:
        if not words:
            for job in list(rt.jobs.jobs.values()):
                if job.state != table.STOPPED:
                    _wait_job(rt, job)
            rt.jobs.finished.clear()
            return 0
        status = 0
        for word in words:
            status = _wait_word(rt, word)
        return status
    except Interrupted as error:
        if error.signo in rt.signals.traps:
            rt.signals.poll()
            return 128 + error.signo
        raise


def _wait_job(rt: Runtime, job: Job) -> int:
    for process in job.processes:
        rt.jobs.wait_for(rt, process)
    if rt.interactive and rt.monitor:
        rt.jobs.tell(rt, job)
    rt.jobs.remove(job)
    return job.status


def _wait_word(rt: Runtime, word: str) -> int:
    if word[:1] == "%":
        try:
            return _wait_job(rt, rt.jobs.find(word))
        except CommandError as error:
            raise CommandError(error.message, status=127, hint=error.hint) from None
    if rt.host.is_supervised(word):
        return _aish(rt, word, "wait")
    if not (word.isdecimal() and word.isascii()):
        raise CommandError(f"{word}: a process id or %job expected", status=2)
    pid = int(word)
    if pid in rt.jobs.finished:
        return rt.jobs.finished[pid]
    found = rt.jobs.find_pid(pid)
    if found is None:
        raise CommandError(f"{pid}: not a child of this shell", status=127)
    job, process = found
    status = rt.jobs.wait_for(rt, process)
    _tidy(rt, job, process)
    return status


def _tidy(rt: Runtime, job: Job, process: Process) -> None:
    if job.state == table.DONE:
        if rt.interactive and rt.monitor:
            rt.jobs.tell(rt, job)
        rt.jobs.remove(job)


# --------------------------------------------------------------------------------------------- kill


def kill(rt: Runtime, argv: list[str]) -> int:
    """kill [-s name | -number | -name] pid | %job | @name ...; kill -l [status ...]"""
    words = argv[1:]
    signo = signals.SIGTERM
    if words and words[0] in ("-l", "-L"):
        return _list(rt, words[1:])
    if words and words[0] in ("-s", "-n"):
        if len(words) < 2:
            raise CommandError(f"{words[0]}: its argument is missing", status=2)
        signo, words = signals.number_of(words[1]), words[2:]
    elif words and len(words[0]) > 1 and words[0][0] == "-" and words[0] != "--":
        signo, words = signals.number_of(words[0][1:]), words[1:]
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        raise CommandError("a process id or %job expected", status=2, hint="kill -l lists the signals")
    status = 0
    for word in words:
        try:
            sent = _send_supervised(rt, word, signo) if rt.host.is_supervised(word) else _send(rt, word, signo)
            status = status if sent else 1
        except CommandError as error:
            rt.complain(f"kill: {error.message}", hint=error.hint)
            status = 1
    return status


def _send(rt: Runtime, word: str, signo: int) -> bool:
    """True. Raises CommandError."""
    try:
        if word[:1] == "%":
            job = rt.jobs.find(word)
            rt.jobs.signal(job, signo)
            if job.state == table.STOPPED and signo in (signals.SIGTERM, signals.SIGHUP):
                rt.jobs.signal(job, signals.SIGCONT)  # a stopped job cannot notice otherwise
        else:
            os.kill(int(word), signo)
    except ValueError:
        raise CommandError(f"{word}: a process id or %job expected") from None
    except OverflowError:
        raise CommandError(f"{word}: No such process") from None
    except OSError as error:
        raise CommandError(f"{word}: {error.strerror}") from None
    return True


def _send_supervised(rt: Runtime, word: str, signo: int) -> bool:
    """Whether it was sent; the verb has told why not. Raises CommandError where there is no such verb."""
    if signo == 0:  # whether it is there: it is where waiting for its end takes longer than no time
        return _aish(rt, word, "wait", "--timeout", "0") == _TIMED_OUT
    return _aish(rt, word, "kill", "-s", str(signo)) == 0


def _list(rt: Runtime, words: list[str]) -> int:
    if not words:
        rt.write(" ".join([signals.NAMES[number] for number in sorted(signals.NAMES)]) + "\n")
        return 0
    for word in words:
        if word.isdecimal():
            number = int(word)
            rt.write(signals.name_of(number - 128 if number > 128 else number) + "\n")
        else:
            rt.write(f"{signals.number_of(word)}\n")
    return 0


TABLE: dict[str, Builtin] = {"jobs": jobs, "fg": fg, "bg": bg, "wait": wait, "kill": kill}
