"""The client's side: start keeper and holder, and talk to the holder. For the daemon; no asyncio in it.

Used from an event loop: watch `fileno()` for reading (and for writing while `wants_write`), call `on_readable` /
`on_writable`. `call` is for the few moments when waiting is right; what arrives meanwhile is kept, so look at
`on_readable` once after it (`backlog` tells).
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import sys
import time

from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

START_TIMEOUT_S = 10.0
_UNSENT_MOST = 10_000
_CONNECT_TIMEOUT = struct.pack("@ll", 10, 0)  # struct timeval
_MAIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")


class GoneError(wire.HolderError, ConnectionError):
    """The holder closed the connection or cannot be reached. Nobody's fault: connect (or launch) again."""


class StartError(wire.HolderError, OSError):
    """Keeper and holder could not be started; the text says why (the folder's rights, usually)."""


class Message:
    """A reply or an event, with the descriptors that came with it: the receiver closes them."""

    __slots__ = ("body", "fds")

    def __init__(self, body: dict[str, Any], fds: list[int]) -> None:
        self.body = body
        self.fds = fds


class HolderLink:
    """One connection to the holder. Not for several threads."""

    def __init__(self, sock: socket.socket) -> None:
        """Wrap a connected SOCK_SEQPACKET socket; it becomes non-blocking."""
        sock.setblocking(False)
        self._sock = sock
        self._seq = 0
        self._unsent: list[tuple[bytes, list[int]]] = []
        self.backlog: list[Message] = []

    @classmethod
    def connect(cls, runtime_dir: str) -> HolderLink:
        """Connect. Raises GoneError if nobody listens there. Say hello first: `call("hello", …)`."""
        sock = _connect(runtime_dir)
        if sock is None:
            raise GoneError(f"no holder listens in {runtime_dir}")
        return cls(sock)

    def fileno(self) -> int:
        """For poll and event loops."""
        return self._sock.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether something waits for the socket to take it: call `on_writable` when it does."""
        return bool(self._unsent)

    def send(self, op: str, fds: Sequence[int] = (), **fields: object) -> int:
        """Send a request; returns its seq. Never waits: queues (with duplicates of `fds`) if the socket is full.

        Raises GoneError; Refusal(too-large) for a message that no datagram holds.
        """
        self._seq += 1
        data = wire.encode({"op": op, "seq": self._seq, **fields})
        if not self._unsent and self._send_now(data, fds):
            return self._seq
        if len(self._unsent) >= _UNSENT_MOST:
            raise GoneError("the holder does not read")
        self._unsent.append((data, [os.dup(fd) for fd in fds]))
        return self._seq

    def on_writable(self) -> None:
        """Send what waits. Raises GoneError."""
        while self._unsent and self._send_now(*self._unsent[0]):
            for fd in self._unsent.pop(0)[1]:
                os.close(fd)

    def on_readable(self) -> list[Message]:
        """Everything that has arrived, in order, without waiting. Raises GoneError once all of it was returned."""
        messages, self.backlog = self.backlog, []
        while True:
            try:
                messages.append(self._receive())
            except BlockingIOError:
                return messages
            except GoneError:
                if messages:
                    return messages
                raise

    def call(self, op: str, fds: Sequence[int] = (), *, timeout_s: float = 10.0, **fields: object) -> Message:
        """Send and wait for the reply. Raises Refusal (the holder says no), GoneError, TimeoutError."""
        seq = self.send(op, fds, **fields)
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        while True:
            poll.register(self._sock, select.POLLIN | (select.POLLOUT if self._unsent else 0))
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1000):
                raise TimeoutError(f"the holder has not answered {op} within {timeout_s} s")
            self.on_writable()
            try:
                message = self._receive()
            except BlockingIOError:
                continue
            if message.body.get("seq") == seq:
                return _accepted(message)
            self.backlog.append(message)

    def spawn(self, id: str, payload: bytes, fds: Sequence[int]) -> int:
        """Send a spawn with `wire.encode_payload`'s bytes; returns the seq."""
        memfd = wire.payload_fd(payload)
        try:
            return self.send("spawn", [memfd, *fds], id=id)
        finally:
            os.close(memfd)

    def close(self) -> None:
        """Close the connection and all that was not sent or not taken."""
        self._sock.close()
        for fds in [fds for _, fds in self._unsent] + [message.fds for message in self.backlog]:
            for fd in fds:
                os.close(fd)
        self._unsent.clear()
        self.backlog.clear()

    def _send_now(self, data: bytes, fds: Sequence[int]) -> bool:
        try:
            wire.send(self._sock, data, fds)
        except BlockingIOError:
            return False
        except OSError as error:
            raise GoneError(f"the holder is gone: {error.strerror}") from None
        return True

    def _receive(self) -> Message:
        try:
            packet = wire.receive(self._sock)
        except BlockingIOError:
            raise
        except OSError as error:
            raise GoneError(f"the holder is gone: {error.strerror}") from None
        if not packet.data:
            packet.close()
            raise GoneError("the holder closed the connection")
        if packet.cut is not None:
            packet.close()
            raise GoneError("no descriptors left to receive the holder's with")
        return Message(wire.decode(packet.data), packet.fds)


def _accepted(message: Message) -> Message:
    """The reply, or its error raised."""
    error = message.body.get("error")
    if error is None:
        return message
    details = {key: value for key, value in error.items() if key not in ("code", "message")}
    raise wire.Refusal(error["code"], error["message"], **details)


def _connect(runtime_dir: str) -> socket.socket | None:
    """Through the opened folder: a path longer than sun_path works, and a link in its place does not."""
    try:
        folder = os.open(runtime_dir, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        if os.fstat(folder).st_uid != os.geteuid():
            sock.close()
            return None
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _CONNECT_TIMEOUT)  # a stopped holder's full backlog
        sock.connect(f"/proc/self/fd/{folder}/{wire.SOCKET_NAME}")
    except OSError:
        sock.close()
        return None
    finally:
        os.close(folder)
    return sock


def launch(
    runtime_dir: str,
    daemon_argv: Sequence[str] | None,
    log_path: str | None,
    *,
    env: Mapping[str, str] | None = None,
    lock_path: str | None = None,
    prefix: Sequence[str] = (),
    kept: Mapping[str, int] | None = None,
) -> None:
    """Start keeper and holder if none runs, and return when holder.sock accepts. Safe to race.

    `daemon_argv` (absolute path first) is the daemon that the holder starts, with `env` (default: this process's)
    and AISH_RUNTIME_DIR; a holder that runs already is asked for the daemon that it was started with. `log_path`
    receives the standard error of all three; `prefix` are words that run it (an absolute path first). `kept` are
    descriptors by name for a holder that is started here: they lie in its store before its daemon runs.

    Raises StartError.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        sock = _connect(runtime_dir)
        if sock is not None:
            try:
                _ask_for_daemon(HolderLink(sock), daemon_argv is not None)
                return
            except GoneError:  # it was just leaving
                continue
            except wire.Refusal as refusal:
                if refusal.code != "closing":
                    raise StartError(f"the holder cannot start the daemon: {refusal.message}") from None
                time.sleep(0.005)
                continue
        words = [*prefix, sys.executable, "-I", "-S", _MAIN, runtime_dir]
        word = _start(words, daemon_argv, log_path, env, lock_path, kept or {})
        if word == "ready":
            return
        if word != "busy":
            raise StartError(word)
        if time.monotonic() > deadline:
            raise StartError(f"the holder's lock is taken, but nobody listens in {runtime_dir}")
        time.sleep(0.005)  # another launch is at it, or a holder is just leaving: neither tells when


def _ask_for_daemon(link: HolderLink, wanted: bool) -> None:
    """Raises Refusal, GoneError; TimeoutError where the holder is stopped."""
    try:
        if wanted:
            link.call("hello", version=wire.VERSION, role=wire.CLIENT)
            link.call("daemon")
    finally:
        link.close()


def _start(
    words: list[str],
    daemon_argv: Sequence[str] | None,
    log_path: str | None,
    env: Mapping[str, str] | None,
    lock_path: str | None,
    kept: Mapping[str, int],
) -> str:
    """Run the program once; its word (see __main__)."""
    for name, value in (("--log", log_path), ("--lock", lock_path)):
        if value is not None:
            words += [name, value]
    if daemon_argv is not None:
        words += ["--daemon-argv", json.dumps(list(daemon_argv))]
    passed = list(kept.values())
    if kept:
        passed.append(wire.payload_fd(json.dumps(kept).encode()))
        words += ["--kept", str(passed[-1])]
    ours, theirs = os.pipe()
    with open(ours, "rb") as pipe:
        try:
            for fd in passed:
                os.set_inheritable(fd, True)
            pid = os.posix_spawn(
                words[0],
                words,
                os.environ if env is None else env,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, theirs, 1),
                    (os.POSIX_SPAWN_DUP2, theirs, 2),
                ],
                setsigmask=[],
                setsigdef=[signal.SIGCHLD, signal.SIGPIPE],
            )
        except OSError as error:
            raise StartError(f"{words[0]}: {error.strerror}") from None
        finally:
            os.close(theirs)
            for fd in passed:
                os.set_inheritable(fd, False)
            if kept:
                os.close(passed[-1])
        word = pipe.read().decode(errors="replace").strip()
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:  # the caller ignores SIGCHLD: nothing is left to reap
        pass
    return word or "the keeper could not be started"
