"""A supervised process in the foreground: it has our standard streams, we have its signals and its exit status.

The caller is a stub: a process in the job's process group, so that pid, $!, PIPESTATUS, fg, bg and Ctrl-Z are those
of any Unix process. It keeps its copies of the descriptors until the spawn is acknowledged (a daemon that dies
before is sent them again), then lets go of stdin and stdout: end of file and SIGPIPE must travel as if the supervised
process alone held the pipe's ends.
"""

from __future__ import annotations

import os
import resource
import secrets
import select
import signal
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from aish.client import needing
from aish.client.connection import Client, connect
from aish.client.holds import Holds
from aish.client.signals import Caught, ImpatientError
from aish.errors import (
    AishError,
    ConflictError,
    DisconnectedError,
    InputError,
    InternalError,
    LimitError,
    NotFoundError,
    RefusedError,
    StorageError,
    UnavailableError,
)
from aish.model import exit as exits
from aish.report import report
from aish.streams import fill, is_open
from aish.wire.message import Cont, Pause, Signal, Spawn, Wait
from aish.wire.part import ExitPart
from aish.wire.reply import Started, Waited
from aish.wire.spec import LaunchPart, SpecPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
FORWARDED: Final = (*ENDING, signal.SIGUSR1, signal.SIGUSR2)
AWAY_S: Final = 2.0
"""For so long, while the next daemon comes, signals wait for it: the process has to get them, not its stub."""
STATUS_LOST: Final = 69
"""What a stage exits with when nobody can tell its process's status."""
PATIENCE_S: Final = 5.0
"""How long the supervisor may take to answer where the program can as well run without it."""
STATUS_NOT_FOUND: Final = 127
STATUS_NOT_RUNNABLE: Final = 126
"""What a shell gives for a program that is not there, and for one that cannot be run."""


class NeverBeganError(Exception):
    """What was to run has not begun, and never will; `error` says why. Not for people: who asks for it goes on.

    `signals` came meanwhile, and were for it."""

    def __init__(self, error: AishError, signals: bytes = b"") -> None:
        super().__init__(error)
        self.error = error
        self.signals = signals


def run(
    spec: SpecPart,
    launch: LaunchPart,
    fds: Iterable[int] = (0, 1, 2),
    *,
    rename: bool = True,
    must_begin: bool = False,
) -> ExitPart:
    """Spawn with these descriptors (same numbers in the child), forward signals, wait for the end.

    `rename`: a name that is taken gets a number. Raises the errors of `aish.client.connect` and what the daemon
    answers; with `must_begin` NeverBeganError where that means that nothing was started (within PATIENCE_S), and is
    for the caller to tell. Our stdin and stdout are /dev/null afterwards.

    A daemon that hangs does not make us deaf: the second signal that is to end us does so.
    """
    fill()  # before anything of ours gets the number of a descriptor that is closed
    with connect(program="stage") as client, Caught((*FORWARDED, signal.SIGTSTP, signal.SIGCONT)) as signals:
        passed = sorted({fd for fd in fds if _passable(fd)})
        request = Spawn(
            token=secrets.token_hex(16),
            spec=spec,
            launch=launch,
            targets=passed,
            rename=rename,
            patience_s=PATIENCE_S if must_begin else None,
        )
        try:
            with signals.blocked():
                started = begun(client, request, passed) if must_begin else client.ask(Started, request, passed)
        except NeverBeganError as why:
            raise NeverBeganError(why.error, signals.arrived()) from why
        except ImpatientError as error:
            return _given_up(error, "it may still start", "`aish ps` shows whether it has")
        if started.came_to_nothing:
            return not_started("aish", started)
        if started.reason is not None and started.state == "queued":
            print(f"aish: {started.name} ({started.id}) is queued: {started.reason}", file=sys.stderr, flush=True)
            with signals.blocked():
                doubts = list(needing.doubts(client, started, spec))
            for doubt in doubts:
                print(f"  {doubt}", file=sys.stderr, flush=True)
        let_go(fd for fd in passed if fd != 2)
        try:
            return _wait(client, started.id, signals)
        except ImpatientError as error:
            what = f"{started.name} ({started.id}) may go on"
            return _given_up(error, what, f"`aish ps` shows it, `aish stop {started.id}` ends it")


def begun(client: Client, request: Spawn, fds: Sequence[int]) -> Started:
    """Spawn. Raises NeverBeganError; other errors where nobody can tell whether it has begun."""
    try:
        started = client.ask(Started, request, fds)
    except (ConflictError, InputError, LimitError, NotFoundError, RefusedError, StorageError) as error:
        raise NeverBeganError(error) from error
    if started.came_to_nothing:
        raise NeverBeganError(UnavailableError(started.reason or "it did not start"))
    return started


def _given_up(error: ImpatientError, what: str, hint: str) -> ExitPart:
    report("aish", UnavailableError(f"the daemon does not answer; {what}", hint=hint))
    return ExitPart(code=128 + error.number)


def not_started(program: str, started: Started) -> ExitPart:
    """Tell why a process never ran; the end that a shell gives it: 127 not there, 126 not runnable, 69 otherwise."""
    reason = started.reason or "it did not start"
    error = UnavailableError(f"{started.name} ({started.id}): {reason}")
    report(program, error)
    return ExitPart(code=status_without_a_run(reason))


def status_without_a_run(reason: str) -> int:
    """Of what could not be started, and why."""
    if not reason.startswith("the program cannot be run"):
        return STATUS_LOST
    return STATUS_NOT_FOUND if "No such file" in reason else STATUS_NOT_RUNNABLE


def _passable(fd: int) -> bool:
    """Open, and not a terminal as stdin: a supervised process has no controlling terminal to read from.

    For what is closed the daemon chooses: nothing on stdin, the log for what is written.
    """
    if fd <= 2 and not is_open(fd):
        return False
    try:
        os.fstat(fd)
    except OSError:
        return False
    return fd != 0 or not os.isatty(fd)


def let_go(fds: Iterable[int]) -> None:
    """Replace 0 to 2 by /dev/null and close the others."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in fds:
        if fd <= 2:
            os.dup2(null, fd, inheritable=True)
        else:
            os.close(fd)
    os.close(null)


def _wait(client: Client, process: str, signals: Caught) -> ExitPart:
    """Until the process has ended, over as many daemons as it takes."""
    asked = bytearray()
    with Holds(process) as holds:
        while True:
            client.send(Wait(target=process))
            try:
                return _never_ran(_answer(client, process, signals, holds, asked), asked)
            except DisconnectedError:
                holds.close()
                with signals.blocked(hangs_s=AWAY_S):
                    client.reconnect()


def _never_ran(end: ExitPart, asked: bytearray) -> ExitPart:
    """What waited for its start and was given up by a signal: the stage ends by it, as a program would have."""
    if end.code is None and end.signal is None and end.reason == exits.CANCELLED and asked:
        return ExitPart(signal=asked[0], reason=end.reason)
    return end


def _answer(client: Client, process: str, signals: Caught, holds: Holds, asked: bytearray) -> ExitPart:
    """The answer of this daemon; signals and what holds the process are looked after meanwhile. `asked`: by which
    signals it was to end, until now."""
    poll = select.poll()
    poll.register(signals, select.POLLIN)
    poll.register(client, select.POLLIN)
    while True:
        ready = {client.fileno()} if client.buffered else {fd for fd, _ in poll.poll(holds.due_ms())}
        if not ready and _begun(holds, signals):
            poll.register(holds, select.POLLIN)
        news = holds.fileno()
        if news in ready and signals.fileno() not in ready and not holds.arrived():
            poll.unregister(news)
        if signals.fileno() in ready:  # first: what follows from them is no news
            arrived = signals.arrived()
            asked += bytes(number for number in arrived if number in ENDING)
            for place, number in enumerate(arrived):
                _forward(process, number, arrived[place:], signals, holds)
        if client.fileno() in ready:
            reply = client.receive()
            if not isinstance(reply, Waited):
                raise InternalError(f"the daemon answered {type(reply).__name__} to a wait")
            return _end_of(reply)


def _end_of(waited: Waited) -> ExitPart:
    """What waited for its turn and could then not be started has the status, and the word, of what cannot at once."""
    end = waited.exit or ExitPart()
    if end.reason != exits.START or waited.reason is None:
        return end
    report("aish", UnavailableError(f"{waited.id}: {waited.reason}"))
    return ExitPart(code=status_without_a_run(waited.reason))


def _begun(holds: Holds, signals: Caught) -> bool:
    with signals.blocked():
        return holds.begin()


def _forward(process: str, number: int, arrived: bytes, signals: Caught, holds: Holds) -> None:
    """Pass a signal on; a stop is a pause of the process and a stop of this stub, so that the shell sees it."""
    with signals.blocked(arrived, hangs_s=AWAY_S) as blocked:
        try:
            with connect(program="stage", even_stopped=True) as control:  # it is passed on when the daemon goes on
                if number == signal.SIGTSTP:
                    holds.ours("paused", control.request(Pause(target=process)))
                elif number == signal.SIGCONT:
                    holds.ours("continued", control.request(Cont(target=process)))
                else:
                    control.request(Signal(target=process, signal=number))
        except AishError as error:  # it may just have ended: the wait tells
            if error.code not in ("not-found", "conflict"):
                print(f"aish: {signal.Signals(number).name} could not be passed on: {error}", file=sys.stderr)
    if number == signal.SIGTSTP and not blocked.stopped:
        os.kill(os.getpid(), signal.SIGSTOP)


def leave(end: ExitPart) -> NoReturn:
    """End this process as the supervised one ended: same code, or by the same signal."""
    sys.stderr.flush()
    never_ran = end.code is None and end.signal is None
    by_itself = end.code is not None and end.reason in exits.TOLD  # it has said so, and why
    if end.reason not in (None, exits.DONE, exits.CANCELLED) and not never_ran and not by_itself:
        print(f"aish: ended by the supervisor: {end.reason}", file=sys.stderr, flush=True)
    if end.signal is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        if end.signal not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(end.signal, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [end.signal])
        os.kill(os.getpid(), end.signal)
        os._exit(128 + end.signal)  # the signal was not fatal after all
    if end.code is None and end.reason in (exits.START, exits.QUOTA, exits.NEEDS, exits.HOOK, exits.SECRET):
        print("aish: it never ran: `aish ps --all` says why", file=sys.stderr, flush=True)
        os._exit(STATUS_NOT_RUNNABLE if end.reason == exits.START else STATUS_LOST)
    if end.code is None:
        print("aish: the process ended, but nobody can tell its exit status", file=sys.stderr, flush=True)
        os._exit(STATUS_LOST)
    os._exit(end.code)
