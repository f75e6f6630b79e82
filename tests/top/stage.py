"""The pieces of a live test: a daemon of paper that speaks the real protocol, and a terminal with a judge.

Loaded by the fixtures of test_live.py; not a test file.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pyte

from aish.errors import DisconnectedError
from aish.wire import codec
from aish.wire.frame import Channel
from aish.wire.message import VERSION, Hello, Message, Snapshot
from aish.wire.reply import Done, Failure, View, Welcome

DEADLINE_S = 60.0


class PaperDaemon:
    """Answers Hello, Snapshot and everything else with Done; streams whatever view the test shows."""

    def __init__(self, path: Path, view: View) -> None:
        self.path = path
        self.view = view
        self.requests: list[tuple[int, Message]] = []
        """(number of the connection, request), without Hello."""
        self.arrived = threading.Condition()
        self.replies: dict[type[Message], Message] = {}
        """What to answer instead of Done."""
        self.version = VERSION
        self._connections: dict[int, Channel] = {}
        self._streams: set[int] = set()
        self._count = 0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._server: socket.socket | None = None

    def start(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(self.path))
        self._server.listen()
        thread = threading.Thread(target=self._accept, args=(self._server,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """As kill -9: every connection ends at once."""
        if self._server is not None:
            self.path.unlink()
            self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            self._server = None
        with self._lock:
            connections = list(self._connections.values())
        for channel in connections:
            try:
                channel.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(DEADLINE_S)
        self._threads.clear()

    def show(self, view: View) -> None:
        """Send the view to everyone who streams."""
        with self._lock:
            self.view = view
            for number in list(self._streams):
                try:
                    self._connections[number].send(codec.encode(view))
                except (DisconnectedError, OSError):
                    self._streams.discard(number)

    def wait_for(self, kind: type[Message]) -> tuple[int, Message]:
        """The first request of that kind."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: any(isinstance(r, kind) for _, r in self.requests), DEADLINE_S)
            return next((n, r) for n, r in self.requests if isinstance(r, kind))

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                sock, _ = server.accept()
            except OSError:
                return
            with self._lock:
                self._count += 1
                number, channel = self._count, Channel(sock)
                self._connections[number] = channel
            thread = threading.Thread(target=self._serve, args=(number, channel), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, number: int, channel: Channel) -> None:
        try:
            while True:
                request = codec.decode_request(channel.receive()[0])
                reply: Message
                if isinstance(request, Hello):
                    reply = Welcome(version=self.version, pid=os.getpid(), epoch=1)
                else:
                    with self.arrived:
                        self.requests.append((number, request))
                        self.arrived.notify_all()
                    reply = self.replies.get(type(request), Done())
                    if isinstance(request, Snapshot) and not isinstance(reply, Failure):
                        reply = self.view
                with self._lock:
                    channel.send(codec.encode(reply))
                    if isinstance(request, Snapshot) and request.every_s is not None:
                        self._streams.add(number)
        except (DisconnectedError, OSError):
            pass
        finally:
            with self._lock:
                self._streams.discard(number)
                self._connections.pop(number, None)
            channel.close()


class Screen:
    """A program on a pty of `columns` x `lines`, and what a terminal would show of it."""

    def __init__(self, argv: list[str], environ: dict[str, str], columns: int = 80, lines: int = 24) -> None:
        self.raw = b""
        self.emulator = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.emulator)
        self.child = pexpect.spawn(argv[0], argv[1:], env=environ, dimensions=(lines, columns), timeout=DEADLINE_S)
        self.child.delaybeforesend = None
        self.before = termios.tcgetattr(self.child.child_fd)

    def read(self, timeout_s: float = 0.2) -> bool:
        """Take in what has come; False at the end of the output."""
        try:
            data = self.child.read_nonblocking(1 << 16, timeout_s)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += data
        # pyte knows neither the alternate screen nor synchronized updates: blank the screen where one switches
        for number, part in enumerate(data.split(b"\x1b[?1049l")):
            if number:
                self.emulator.reset()
            self._stream.feed(part)
        return True

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.emulator.display)

    def until(self, wanted: str | Callable[[str], bool]) -> str:
        """Wait until the screen shows it (woken by output); the screen's text."""
        seen = wanted if callable(wanted) else lambda text: wanted in text
        end = time.monotonic() + DEADLINE_S
        while not seen(self.text()):
            assert time.monotonic() < end, f"never saw {wanted!r}:\n{self.text()}"
            if not self.read() and not seen(self.text()):
                raise AssertionError(f"ended before {wanted!r}:\n{self.text()}\n{self.raw[-2000:]!r}")
        return self.text()

    def send(self, keys: str) -> None:
        self.child.send(keys)

    def resize(self, columns: int, lines: int) -> None:
        self.emulator.resize(lines, columns)
        self.child.setwinsize(lines, columns)

    def end(self) -> int:
        """Read to the end; the exit status as a shell would tell it."""
        end = time.monotonic() + DEADLINE_S
        while self.read():
            assert time.monotonic() < end, f"does not end:\n{self.text()}"
        self.child.wait()
        if self.child.signalstatus is not None:
            return 128 + int(self.child.signalstatus)
        return int(self.child.exitstatus)

    def restored(self) -> bool:
        """Whether terminal settings, cursor, wrapping and screen are as they were before."""
        attributes = termios.tcgetattr(self.child.child_fd)
        last = self.raw[self.raw.rfind(b"\x1b[?1049") :]
        return attributes == self.before and last.startswith(b"\x1b[?1049l") and self.raw.count(b"\x1b[?25h") >= 1

    def close(self) -> None:
        if self.child.isalive():
            self.child.kill(signal.SIGKILL)
        self.child.close(force=True)


TOP = "import sys; from aish.cli import main; sys.exit(main(['top', *sys.argv[1:]]))"


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-c", code, *words]
