"""The shell of a session: one Runtime that lives as long as it, and does what the front sends, one at a time.

What is sent are two descriptors for the output and a memory file with the command: a message is small, so the front
never waits for a shell that is stuck. What comes back is a status and a folder.

ABORT is how the front gives a command up. It cannot be trapped. The first one acts between two commands, or at once
where the shell waits; the second one acts wherever the shell is. A shell that goes on even so is killed by the front.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import gc
import marshal
import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from aish.errors import AishError
from aish.lang import builtins, signals
from aish.lang.control import Break, Continue, Exit, Interrupted, Return, status_of
from aish.lang.depth import deep
from aish.lang.descriptors import private
from aish.lang.evaluate import run_source
from aish.lang.job import DONE
from aish.lang.runtime import Runtime
from aish.lang.source import Source
from aish.session.kin import COMMAND_CHARS, VARIABLE
from aish.shell.program import VERSION, environment, interpreter, true_folder
from aish.supervisor.daemon import proc

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from aish.lang.host import Host

ABORT: Final[int] = _signal.SIGRTMAX - 3
MESSAGE_BYTES: Final = 65536
_MOST_JOBS: Final = 30
_REFUSED_CHARS: Final = 2000
_FOLDER_CHARS: Final = 4096
"""No path that a program could go to is longer: PATH_MAX of linux/limits.h."""
RUN: Final = b"run"
LEAVE: Final = b"leave"
NAME: Final = "command"
"""What messages call the text of a command: command:1:3: …"""


class Order(NamedTuple):
    """A command as the front sends it."""

    number: int
    tag: str
    command: str
    cwd: str | None
    env: dict[str, str | None]


class Report(NamedTuple):
    """What the shell says of it."""

    number: int
    status: int
    cwd: str
    refused: str | None
    """Why it was not run at all."""
    jobs: tuple[tuple[int, str], ...]
    """What runs or is stopped: its first process, and its text."""


def packed(message: Order | Report) -> bytes:
    """As it is sent. (Not by msgspec: what is loaded here makes every fork of the shell dearer.)"""
    return marshal.dumps(tuple(message))


def live(control: socket.socket, host: Host) -> int:
    """Until the front is gone or says so; the exit status of the process."""
    with deep():
        return _Shell(control, host).serve()


class _Shell:
    def __init__(self, control: socket.socket, host: Host) -> None:
        gc.freeze()
        gc.enable()
        gc.set_threshold(20_000, 50, 50)
        self._control = socket.socket(fileno=private(control.detach()))
        self._null = private(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
        self._busy = False
        self._asked = 0
        rt = self.rt = Runtime(host, environment(), version=VERSION)
        rt.lasting = True
        rt.monitor = True  # a process group for each pipeline; there is no terminal to pass around
        rt.interpreter = interpreter()
        rt.signals.start()
        rt.signals.be_interactive()
        true_folder(rt)

    def serve(self) -> int:
        _signal.signal(ABORT, self._abort)
        while True:
            word, fds, _, _ = socket.recv_fds(self._control, 64, 3)
            if word == LEAVE:
                self._guarded(lambda: self._exit_trap(0))
                return 0
            if word != RUN or len(fds) != 3:
                return 0
            self._control.send(packed(self._obey(*fds)))

    # ------------------------------------------------------------------------------------ one command

    def _obey(self, text: int, out: int, err: int) -> Report:
        with open(text, "rb") as file:
            order = Order(*marshal.loads(file.read()))  # noqa: S302  of the front
        self._streams(out, err)
        os.close(out)
        os.close(err)
        self._tidy()
        refused, status = self._prepared(order), 0
        if refused is None:
            status = self._guarded(lambda: run_source(self.rt, Source(NAME, order.command), main=True))
        self._streams(self._null, self._null)
        self._tidy()
        return Report(order.number, status & 0xFF, self._folder(), refused, self._jobs())

    def _jobs(self) -> tuple[tuple[int, str], ...]:
        """The newest ones: it has to fit into a message."""
        newest = self.rt.jobs.order[-_MOST_JOBS:]
        return tuple((job.processes[0].pid, job.text[:COMMAND_CHARS]) for job in newest)

    def _streams(self, out: int, err: int) -> None:
        """0 to 2 anew for each command, whatever the last one has done to them."""
        for source, fd in ((self._null, 0), (out, 1), (err, 2)):
            os.dup2(source, fd, True)

    def _prepared(self, order: Order) -> str | None:
        """Folder and variables as the request has them; why not."""
        rt = self.rt
        rt.noexec = False  # `set -n` would be for good
        try:
            if order.cwd is not None:
                cd = builtins.find("cd")
                assert cd is not None
                cd(rt, ["cd", "--", os.path.join(self._folder(), order.cwd)])
            for name, value in order.env.items():
                if value is None:
                    rt.vars.unset(name)
                else:
                    rt.vars.set(name, value)
                    rt.vars.export(name)
            rt.vars.readonly.discard(VARIABLE)
            rt.vars.set(VARIABLE, order.tag)
            rt.vars.export(VARIABLE)
        except AishError as error:  # also a value that is no number, of a variable that is one
            return str(error)[:_REFUSED_CHARS]
        return None

    def _guarded(self, run: Callable[[], int]) -> int:
        """Run commands: no error, exit or signal leaves this but as a status."""
        rt = self.rt
        rt.signals.arrived = [signo for signo in rt.signals.arrived if signo in rt.signals.traps]
        self._asked, self._busy = 0, True
        try:
            try:
                status = self._performed(run)
            except Interrupted as error:
                status = 128 + error.signo
            self._busy = False
        except Interrupted as error:  # a second ABORT, on the way out of the first one
            self._busy = False
            status = 128 + error.signo
        rt.signals.mode = signals.RUNNING
        rt.capture = None
        rt.status = status
        rt.tested = rt.loops = rt.calls = rt.returns = 0
        rt.close_files(0)
        while rt.vars.scopes:
            rt.vars.pop()
        return status

    def _performed(self, run: Callable[[], int]) -> int:
        """Raises Interrupted. `exit` ends the command, and not the shell."""
        rt = self.rt
        try:
            return run()
        except Exit as error:
            return self._exit_trap(error.status)
        except Return as error:
            return error.status
        except (Break, Continue):
            return rt.status
        except AishError as error:
            rt.report(error)
            return status_of(error)
        except Exception as error:  # noqa: BLE001  the edge of a command: told, and the session goes on
            return rt.report_fault(error)

    def _exit_trap(self, status: int) -> int:
        """The EXIT trap, once, where the shell was told to end. Raises Interrupted."""
        rt = self.rt
        action = rt.signals.traps.pop(signals.EXIT, None)
        if not action:
            return status
        rt.signals.reinstall()
        rt.status, rt.tested = status, 0
        try:
            rt.run_trap(action, signals.EXIT)
        except Exit as error:
            return error.status
        except AishError as error:
            rt.report(error)
        return status

    def _abort(self, signo: int, frame: object) -> None:
        if not self._busy or self.rt.in_subshell:
            return
        self._asked += 1
        if self._asked == 1 and self.rt.signals.mode is signals.RUNNING:
            self.rt.signals.note(ABORT)
        else:
            raise Interrupted(ABORT)

    # -------------------------------------------------------------------------------- between commands

    def _tidy(self) -> None:
        """Reap what has ended: jobs, as a prompt does it; and what a command that was given up had waited for."""
        jobs = self.rt.jobs
        jobs.reap()
        for job in list(jobs.order):
            if job.state == DONE:
                jobs.remove(job)
        known = {process.pid for job in jobs.order for process in job.processes}
        for pid in proc.children(os.getpid()):
            if pid in known:
                continue
            ended, raw = os.waitpid(pid, os.WNOHANG)
            loose = jobs.find_pid(pid) if ended else None
            if loose is not None:  # of a <( ): `wait` may ask for it
                loose[1].raw = raw
                jobs.remove(loose[0])

    def _folder(self) -> str:
        found = self.rt.values.get("PWD")
        if found is None or len(found) > _FOLDER_CHARS:
            try:
                found = os.getcwd()
            except OSError:
                found = "/"
        return found
