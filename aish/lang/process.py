"""Starting processes: programs, and copies of the shell.

A program is started by posix_spawn where nothing has to be done between fork and exec, which costs the same
however large the shell has grown. Job control needs the fork: the child must take the terminal itself (see
terminal); and so does a group that Ctrl-Z can reach (see may_be_stopped). In a forked copy nothing may ever
return into the parent's code: `_child` ends in os._exit.
"""

from __future__ import annotations

import errno
import os

from aish.lang import signals
from aish.lang.control import CommandError
from aish.lang.ending import settle
from aish.lang.job import Job, exit_status
from aish.lang.source import WINDOWS
from aish.lang.text import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

    from aish.lang.runtime import Runtime

NOT_FOUND = 127
NOT_EXECUTABLE = 126


# ------------------------------------------------------------------------------------------ programs


def run_program(rt: Runtime, argv: list[str], *, last: bool = False) -> int:
    """Run a program in the foreground and give its status. `last`: this process has nothing else to do.

    Raises CommandError with status 127 or 126 where it cannot be run.
    """
    path = rt.commands.find(argv[0])
    if path is None:
        raise CommandError("command not found", status=NOT_FOUND)
    environment = rt.environment_for(path)
    if last and not rt.signals.acts():
        replace(rt, path, argv, environment)
    if rt.monitor and rt.jobs.terminal is not None:
        job = Job(rt.command_text(argv), rt.at)
        fork(rt, lambda: _become(rt, path, argv, environment), job, foreground=True)
        return rt.jobs.wait_foreground(rt, job)
    forks = not rt.monitor and may_be_stopped(rt)
    rt.signals.mode = signals.WAITING  # before the program is there: it may be interrupted before we go on
    try:
        if forks:
            job = Job(rt.command_text(argv), rt.at)
            pid = fork(rt, lambda: _become(rt, path, argv, environment), job, foreground=True)
        else:
            pid = spawn(rt, path, argv, environment)
            if signals.SIGINT in rt.signals.arrived:  # of a Ctrl-C that came just before it the program knows nothing
                os.kill(pid, signals.SIGINT)
    except CommandError:
        rt.signals.mode = signals.RUNNING
        if rt.pending:
            rt.signals.poll()
        raise
    if rt.monitor:
        job = Job(rt.command_text(argv), rt.at)
        job.pgid = job.add(pid).pid
        return rt.jobs.wait_foreground(rt, job)
    return wait_program(rt, pid, argv)


def may_be_stopped(rt: Runtime) -> bool:
    """Whether Ctrl-Z may come for this process's group. It stops what posix_spawn has made before that is the
    program; posix_spawn waits for the program all the while, where no signal reaches it: nobody hears that the job
    has stopped, and the terminal is stuck."""
    if signals.SIGTSTP in rt.signals.ignored_at_start:
        return False
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False  # there is no terminal
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False  # it has hung up
    finally:
        os.close(fd)


def _become(rt: Runtime, path: str, argv: list[str], environment: dict[str, str]) -> int:
    """In a child that job control needed: the program, or the message why not."""
    try:
        replace(rt, path, argv, environment)
    except CommandError as error:
        rt.complain_not_run(argv[0], error)
        return error.status


def spawn(
    rt: Runtime,
    path: str,
    argv: list[str],
    environment: dict[str, str],
    actions: Sequence[tuple[int, int, int]] = (),
) -> int:
    """Start a program without a copy of the shell in between; gives its process id. `actions` of posix_spawn are done
    to its descriptors."""
    more: dict[str, Any] = {"setpgroup": 0} if rt.monitor else {}
    if actions:
        more["file_actions"] = actions
    ignored = rt.signals.precautions()
    try:
        return os.posix_spawn(path, argv, environment, setsigdef=ignored, **more)
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            return os.posix_spawn(
                rt.interpreter[0], _as_script(rt, path, argv), environment, setsigdef=ignored, **more
            )
        raise _cannot_run(argv[0], path, error) from None
    except ValueError as error:
        raise CommandError(f"cannot run it: {error}", status=NOT_EXECUTABLE) from None


def wait_program(rt: Runtime, pid: int, argv: list[str]) -> int:
    """Wait for a foreground program that shares the shell's process group."""
    rt.signals.mode = signals.WAITING
    try:
        raw = os.waitpid(pid, 0)[1]
    except ChildProcessError:
        raw = NOT_FOUND << 8  # SIGCHLD is ignored, on entry or by a trap: the status is lost
    finally:
        rt.signals.mode = signals.RUNNING
    rt.settle_jobs()
    if raw == 0:
        if rt.pending:
            rt.signals.waited(0)
        return 0
    killed = os.WTERMSIG(raw) if os.WIFSIGNALED(raw) else 0
    if killed and killed not in (signals.SIGINT, signals.SIGPIPE):
        from aish.lang import signal_names

        core = " (core dumped)" if os.WCOREDUMP(raw) else ""
        rt.complain(f"{argv[0]}: {signal_names.describe(killed)}{core}")
    rt.signals.waited(killed)
    return exit_status(raw)


def replace(rt: Runtime, path: str, argv: list[str], environment: dict[str, str]) -> NoReturn:
    """Become a program. Raises CommandError where that is impossible."""
    rt.signals.to_default()  # one that comes now must not be noted by a process that is about to forget
    try:
        os.execve(path, argv, environment)
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            script = _as_script(rt, path, argv)
            os.execve(script[0], script, environment)
        rt.signals.reinstall()
        raise _cannot_run(argv[0], path, error) from None
    except ValueError as error:
        rt.signals.reinstall()
        raise CommandError(f"cannot run it: {error}", status=NOT_EXECUTABLE) from None


def _as_script(rt: Runtime, path: str, argv: list[str]) -> list[str]:
    """A file without #! is a script of ours, unless it is no text at all."""
    with open(path, "rb") as file:
        first = file.read(256).partition(b"\n")[0]
    if b"\0" in first or first[:4] == b"\x7fELF":
        raise CommandError("cannot execute a binary file of this kind", status=NOT_EXECUTABLE)
    return [*rt.interpreter, path, *argv[1:]]


def _cannot_run(name: str, path: str, error: OSError) -> CommandError:
    missing = error.errno == errno.ENOENT
    status = NOT_FOUND if missing else NOT_EXECUTABLE
    if os.path.isdir(path):
        return CommandError("is a directory", status=NOT_EXECUTABLE, hint="cd enters it")
    if missing and os.path.exists(path):
        return _without_interpreter(path)
    hint = f"chmod +x {path}" if error.errno == errno.EACCES and os.path.exists(path) else None
    if missing and "/" not in name:
        hint = f"{path} has gone; `hash -r` looks for it anew"
    return CommandError(error.strerror or "cannot be run", status=status, hint=hint)


def _without_interpreter(path: str) -> CommandError:
    """What is there, and yet was not found: the program that its first line, or its format, asks for."""
    try:
        with open(path, "rb") as file:
            first = file.readline(256)
    except OSError:
        first = b""
    if first[:2] != b"#!":
        return CommandError("its interpreter is missing", status=NOT_FOUND, hint="file(1) tells what it is made for")
    name = decode(first[2:]).split(maxsplit=1)[:1]
    hint = WINDOWS if first.endswith(b"\r\n") else f"the first line of {path} names it"
    return CommandError(f"its interpreter is missing: {''.join(name)}", status=NOT_FOUND, hint=hint)


# -------------------------------------------------------------------------------------------- copies


def fork(
    rt: Runtime,
    body: Callable[[], int],
    job: Job,
    *,
    foreground: bool,
    background: bool = False,
    streams: tuple[int, int] = (-1, -1),
) -> int:
    """Run `body` in a copy of the shell that is a member of `job`, and exit with what it gives. Raises
    CommandError where the system has no room for a process.

    `streams` become its stdin and stdout. `background`: as POSIX wants a command behind `&` without job
    control: deaf to the keyboard, and stdin at the end of file where nothing else was said to be it.
    """
    rt.look_at_jobs()  # the copy cannot, and `$(jobs -r | wc -l)` counts
    mask = signals.hold()
    try:
        pid = os.fork()
        if pid == 0:
            _child(rt, body, job, mask, foreground, background, streams)
    except OSError as error:
        raise CommandError(f"cannot start a process: {error.strerror}", status=NOT_EXECUTABLE) from None
    finally:
        signals.release(mask)
    job.add(pid)
    if rt.monitor:
        job.pgid = job.pgid or pid
        try:
            os.setpgid(pid, job.pgid)
        except OSError:
            pass  # the child did it itself and has called exec since
        if foreground and rt.jobs.terminal is not None:
            rt.jobs.terminal.give(job.pgid)
    if foreground:
        rt.jobs.forward_missed(rt, job)
    return pid


def _child(
    rt: Runtime,
    body: Callable[[], int],
    job: Job,
    mask: set[int],
    foreground: bool,
    background: bool,
    streams: tuple[int, int],
) -> NoReturn:
    status = 70
    try:
        if rt.monitor:
            os.setpgid(0, job.pgid)
            if foreground and rt.jobs.terminal is not None:
                os.tcsetpgrp(rt.jobs.terminal.fd, os.getpgrp())
        for number, fd in enumerate(streams):
            if fd >= 0 and fd != number:
                os.dup2(fd, number, True)
                os.close(fd)
            elif fd >= 0:
                os.set_inheritable(fd, True)
        deaf = background and not rt.monitor
        rt.stdin_given = rt.stdin_given or streams[0] >= 0
        if deaf and not rt.stdin_given:
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0, True)
            os.close(null)
        rt.enter_subshell(interruptible=not deaf)
        signals.release(mask)
        status = settle(rt, body)
    except BaseException as error:  # noqa: BLE001 -- the edge of a process: nothing may return into the parent
        status = rt.report_fault(error)
    finally:
        os._exit(status & 0xFF)


# -------------------------------------------------------------------------------- supervised, in-process


def run_stage(rt: Runtime, argv: list[str], *, last: bool = False) -> int:
    """Run a supervised stage: a stub in the job's process group stands for it."""

    def stub() -> int:
        rt.signals.to_default()
        return rt.host.run_stage(argv, dict(rt.vars.environment()))

    if last and not rt.signals.acts():
        return stub()
    job = Job(rt.command_text(argv), rt.at)
    fork(rt, stub, job, foreground=True)
    return rt.jobs.wait_foreground(rt, job)


def run_aish(rt: Runtime, argv: list[str]) -> int:
    """The built-in `aish`: a verb in this process, or at a prompt as a job where it holds the terminal; anything
    else is another shell."""
    words = argv[1:]
    if not rt.host.is_verb(words):
        return run_program(rt, [*rt.interpreter, *words])

    def verb() -> int:
        rt.signals.python_interrupts(True)
        try:
            status = rt.host.run_verb(words, rt.vars.environment())
        except KeyboardInterrupt:
            status = 128 + signals.SIGINT
        finally:
            rt.signals.python_interrupts(False)
        return 128 + rt.signals.cut_by if rt.signals.cut_by else status

    if not rt.monitor or not rt.host.verb_needs_process(words):
        return verb()
    job = Job(rt.command_text(argv), rt.at)
    fork(rt, verb, job, foreground=True)
    return rt.jobs.wait_foreground(rt, job)
