"""kill: signals to processes, jobs and what is supervised."""

from __future__ import annotations

import os

from aish.lang import signal_names, signals
from aish.lang.builtins.jobs import ask_aish
from aish.lang.control import CommandError
from aish.lang.digits import saturated
from aish.lang.job import STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime

_TIMED_OUT = 124
"""Of `aish wait`, as of timeout(1)."""


def kill(rt: Runtime, argv: list[str]) -> int:
    """kill [-s name | -n number | -name] pid | %job | @name ...; kill -l [status ...]: send a signal; SIGTERM"""
    words = argv[1:]
    signo = signals.SIGTERM
    if words and words[0] in ("-l", "-L"):
        return _list(rt, words[1:])
    if words and words[0] in ("-s", "-n"):
        if len(words) < 2:
            raise CommandError(f"{words[0]}: its argument is missing")
        signo, words = _signal(words[1]), words[2:]
    elif words and len(words[0]) > 1 and words[0][0] == "-" and words[0] != "--":
        word = words[0][2:] if words[0][1] in "sn" and words[0][2:] else words[0][1:]
        signo, words = _signal(word), words[1:]
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        raise CommandError("a process id or %job expected", status=2, hint="kill -l lists the signals")
    status = 1
    for word in words:  # as bash has it: 0 where one was sent
        try:
            sent = _send_supervised(rt, word, signo) if rt.host.is_supervised(word) else _send(rt, word, signo)
            status = 0 if sent else status
        except CommandError as error:
            rt.complain(f"kill: {error.message}", hint=error.hint)
    return status


def _signal(word: str) -> int:
    number = signal_names.number_of(word)
    if number > signals.LAST:
        raise CommandError(f"{word}: not a signal that can be sent", hint="kill -l lists them")
    return number


def _send(rt: Runtime, word: str, signo: int) -> bool:
    """True. Raises CommandError."""
    try:
        if word[:1] == "%":
            job = rt.jobs.find(word)
            rt.jobs.signal(job, signo)
            if job.state == STOPPED and signo in (signals.SIGTERM, signals.SIGHUP):
                rt.jobs.signal(job, signals.SIGCONT)  # a stopped job cannot notice otherwise
        else:
            pid = int(word)
            os.kill(pid, signo)
            if signo == signals.SIGTSTP and pid in (os.getpid(), 0, -os.getpgrp()):
                rt.signals.no_stop_was_asked()
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
        return ask_aish(rt, word, "wait", "--timeout", "0") == _TIMED_OUT
    return ask_aish(rt, word, "kill", "-s", str(signo)) == 0


def _list(rt: Runtime, words: list[str]) -> int:
    while words and words[0][:1] == "-":  # with a signal, too: it says nothing here
        word, *words = words
        if word == "--":
            break
    if not words:
        rt.write(signal_names.table(plain=rt.posix))
        return 0
    status = 0
    for word in words:
        try:
            if word.isdecimal() and word.isascii():
                number = saturated(word)
                number -= 128 * (number > 128)
                if number > signals.LAST or number in signals.RESERVED:
                    raise CommandError(f"{word}: not a signal")
                rt.write(signal_names.name_of(number) + "\n")
            else:
                rt.write(f"{signal_names.number_of(word)}\n")
        except CommandError as error:
            rt.complain(f"kill: {error.message}", hint=error.hint)
            status = 1
    return status


TABLE: dict[str, Builtin] = {"kill": kill}
