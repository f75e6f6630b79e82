"""`aish run` at a terminal: the process has a pty of its own, and this terminal shows it.

The holder drains the pty into the process's log, so nobody's absence can stall it; we show the log as it grows, write
what is typed straight to the pty's master, and tell it our window's size.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import signal
import sys
import termios
import tty
from typing import Any

from aish.client import follow
from aish.client.connection import Client, connect
from aish.client.signals import Caught
from aish.client.stage import not_started
from aish.errors import AishError, ConflictError, DisconnectedError, InternalError, UnavailableError
from aish.report import report
from aish.wire.message import Attach, Attached, LogFiles, Logs, Spawn, Started, Wait, Waited
from aish.wire.part import ExitPart
from aish.wire.spec import LaunchPart, SpecPart


def run(spec: SpecPart, launch: LaunchPart, *, rename: bool = True) -> ExitPart:
    """Spawn on a pty, attached to this terminal (descriptors 0 and 1), until it ends.

    `rename`: a name that is taken gets a number. Raises the errors of `aish.client.connect` and what the daemon
    answers. The terminal's modes are restored.
    """
    with connect(program="run") as client:
        started = _started(client, Spawn(token=secrets.token_hex(16), spec=spec, launch=launch, rename=rename))
        if started.state == "failed":
            return not_started("aish run", started)
        if started.state == "queued":
            print(f"aish: {started.name} ({started.id}) is queued: {started.reason}", file=sys.stderr, flush=True)
        try:
            master = _attached(client, started.id)
        except KeyboardInterrupt:
            report("aish run", AishError(f"{started.name} stays queued", hint=f"end it: aish stop {started.id}"))
            raise
        log = _one_fd(client, Logs(target=started.id), LogFiles)
        try:
            if master is None:  # it was faster than we
                return _shown_whole(client, started.id, log)
            with _raw_terminal(), follow.Growth() as growth:
                return _Session(client, started.id, master, log, growth).run()
        finally:
            if master is not None:
                os.close(master)
            os.close(log)


def _started(client: Client, request: Spawn) -> Started:
    try:
        return client.ask(Started, request)
    except KeyboardInterrupt:
        report("aish run", AishError("it may still start", hint="`aish ps` shows whether it has"))
        raise


def _attached(client: Client, process: str) -> int | None:
    """The master of its pty, once it runs; None if it has ended meanwhile. Raises ConflictError otherwise."""
    while True:
        waited = client.ask(Waited, Wait(target=process, until="ready"))
        if waited.exit is not None:
            return None
        try:
            return _one_fd(client, Attach(target=process), Attached)
        except ConflictError:
            if client.ask(Waited, Wait(target=process, timeout_s=0)).timed_out:
                raise


def _shown_whole(client: Client, process: str, log: int) -> ExitPart:
    """All that it wrote, and how it ended."""
    end = client.ask(Waited, Wait(target=process)).exit or ExitPart()
    tail = follow.Tail(log)
    with _raw_terminal():  # the log is what its own terminal made of it: line ends are there already
        while data := tail.read():
            _write_all(1, data)
    return end


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _one_fd(client: Client, message: Attach | Logs, expected: type[Attached | LogFiles]) -> int:
    reply, fds = client.request_with_fds(message)
    if not isinstance(reply, expected) or not fds:
        raise InternalError(f"the daemon answered {type(reply).__name__} without a descriptor")
    for fd in fds[1:]:
        os.close(fd)
    return fds[0]


class _Session:
    def __init__(self, client: Client, process: str, master: int, log: int, growth: follow.Growth) -> None:
        self.client = client
        self.process = process
        self.master = master
        self.tail = follow.Tail(log)
        self.growth = growth
        self.typed = bytearray()

    def run(self) -> ExitPart:
        self.growth.watch(self.tail.fd)
        os.set_blocking(self.master, False)
        end: ExitPart | None = None
        copy_window_size(self.master)
        with Caught((signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP)) as signals:
            self.client.send(Wait(target=self.process))
            while end is None:
                self.growth.clear()
                self._show()
                others = [self.client.fileno(), signals.fileno()] + (
                    [0] if len(self.typed) < follow.CHUNK_BYTES else []
                )
                timeout_ms = 20 if self.typed else None  # the pty's input queue is full: look again
                ready = follow.wait(self.growth, others, timeout_ms)
                if signals.fileno() in ready:
                    self._signalled(signals.arrived())
                if 0 in ready:
                    self._type()
                self._write_typed()
                if self.client.fileno() in ready:
                    end = self._ended()
        self._show()  # the daemon answers when the holder has copied the last of it
        return end

    def _signalled(self, numbers: bytes) -> None:
        if signal.SIGWINCH in numbers:
            copy_window_size(self.master)
        if signal.SIGTERM in numbers or signal.SIGHUP in numbers:
            raise UnavailableError(
                f"this terminal is going; {self.process} goes on", hint=f"`aish logs -f {self.process}` shows it"
            )

    def _ended(self) -> ExitPart | None:
        try:
            reply = self.client.receive()
        except DisconnectedError:
            self.client.reconnect()
            self.client.send(Wait(target=self.process))
            return None
        if not isinstance(reply, Waited):
            raise InternalError(f"the daemon answered {type(reply).__name__} to a wait")
        return reply.exit or ExitPart()

    def _show(self) -> None:
        while data := self.tail.read():
            _write_all(1, data)

    def _type(self) -> None:
        self.typed += os.read(0, 4096) or b"\x04"  # our terminal is gone: end of file for the process

    def _write_typed(self) -> None:
        try:
            while self.typed:
                del self.typed[: os.write(self.master, self.typed)]
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EIO:  # EIO: the process has closed its terminal
                raise
            self.typed.clear()


def copy_window_size(master: int) -> None:
    """Give the pty the size of our terminal (rows, columns, pixels)."""
    try:
        size = fcntl.ioctl(1, termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)
    except OSError:
        pass  # one of the two is gone: there is nothing to fit


class _raw_terminal:  # noqa: N801  used as a context manager only
    """Our terminal in raw mode: every key is the process's, Ctrl-C too."""

    def __enter__(self) -> None:
        self._before: list[Any] | None = None
        try:
            self._before = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSADRAIN)
        except termios.error:
            pass  # the terminal is gone: who reads from it or writes to it is told

    def __exit__(self, *_: object) -> None:
        try:
            if self._before is not None:
                termios.tcsetattr(0, termios.TCSADRAIN, self._before)
        except termios.error:
            pass  # nobody sees its modes any more
