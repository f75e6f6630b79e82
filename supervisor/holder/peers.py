"""Connections: who is at the other end, what they may send, and what waits to be sent to them.

A connection with something unsent is not read from, so what can queue up for it is the answer to one request and
one event: a caller that does not read costs a few KiB and never makes the holder wait.
"""

from __future__ import annotations

import os
import select
import socket
import struct

from . import wire
from .estate import exhausted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PEERS_MOST = 128
_BATCH = 32  # datagrams of one connection before the others get their turn


class Loop:
    """epoll and what to call for each descriptor. Level-triggered; a callback gets the events."""

    __slots__ = ("_callbacks", "_epoll")

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}

    def watch(self, fd: int, callback: Callable[[int], None], events: int = select.EPOLLIN) -> None:
        """Call `callback(events)` whenever `fd` is ready. Raises OSError (descriptors, memory, EPERM for files)."""
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def change(self, fd: int, events: int) -> None:
        """Wait for other events."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching; before the descriptor is closed."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def turn(self, timeout_s: float | None) -> None:
        """Wait once and call what is ready."""
        for fd, events in self._epoll.poll(timeout_s):
            callback = self._callbacks.get(fd)
            if callback is not None:  # an earlier callback of this turn may have closed it
                callback(events)

    def close(self) -> None:
        """Close the epoll descriptor."""
        self._epoll.close()


class Peer:
    """One connection. `role` is None before hello."""

    __slots__ = ("_loop", "_requests", "_unsent", "closed", "gone", "pid", "role", "sock", "writable")

    def __init__(
        self,
        sock: socket.socket,
        loop: Loop,
        *,
        requests: Callable[[Peer, wire.Packet], None],
        writable: Callable[[Peer], None],
        gone: Callable[[Peer], None],
    ) -> None:
        self.sock = sock
        self.pid = _credentials(sock)[0]
        self.role: str | None = None
        self.closed = False
        self._requests = requests
        self.writable = writable
        self.gone = gone
        self._unsent: list[tuple[bytes, list[int]]] = []
        self._loop = loop
        loop.watch(sock.fileno(), self._ready)

    @property
    def clear(self) -> bool:
        """Whether it takes more: nothing waits for it to read."""
        return not self.closed and not self._unsent

    def send(self, message: Mapping[str, object], fds: Sequence[int] = ()) -> None:
        """Send or queue; duplicates what it has to keep. A dead connection is closed."""
        if self.closed:
            return
        data = wire.encode(message)
        if not self._unsent:
            try:
                wire.send(self.sock, data, fds)
                return
            except BlockingIOError:
                self._loop.change(self.sock.fileno(), select.EPOLLOUT)
            except OSError:
                self.close()
                return
        try:
            self._unsent.append((data, [os.dup(fd) for fd in fds]))
        except OSError:  # no descriptors left to keep its answer in: it will connect again
            self.close()

    def _ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
            return
        for _ in range(_BATCH):
            if not self.clear:
                return
            try:
                packet = wire.receive(self.sock)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            if not packet.data and not packet.fds:
                self.close()
                return
            try:
                self._requests(self, packet)
            finally:
                packet.close()

    def _flush(self) -> None:
        while self._unsent:
            data, fds = self._unsent[0]
            try:
                wire.send(self.sock, data, fds)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            _close_all(self._unsent.pop(0)[1])
        self._loop.change(self.sock.fileno(), select.EPOLLIN)
        self.writable(self)

    def last_words(self, message: Mapping[str, object]) -> None:
        """Send everything and this, right before the process ends: here alone a reader is waited for, a second."""
        self._unsent.append((wire.encode(message), []))
        try:
            self.sock.settimeout(1.0)
            for data, fds in self._unsent:
                wire.send(self.sock, data, fds)
        except OSError:  # it does not read or is gone
            return

    def close(self) -> None:
        """End the connection and everything queued for it."""
        if self.closed:
            return
        self.closed = True
        self._loop.forget(self.sock.fileno())
        self.sock.close()
        for _, fds in self._unsent:
            _close_all(fds)
        self._unsent.clear()
        self.gone(self)


def accept(listener: socket.socket, reserve: list[int]) -> socket.socket | None:
    """The next connection of this uid, or None. Raises BlockingIOError when nobody waits.

    When descriptors have run out, the reserve is spent to accept and close: left in the queue, the connection would
    make epoll spin.
    """
    try:
        sock, _ = listener.accept()
    except BlockingIOError:
        raise
    except OSError as error:
        if exhausted(error):
            _refuse_one(listener, reserve)
        return None
    if _credentials(sock)[1] != os.geteuid():
        sock.close()
        return None
    sock.setblocking(False)
    return sock


def _refuse_one(listener: socket.socket, reserve: list[int]) -> None:
    """Hang up on the next in the queue with the one descriptor that was kept for it."""
    while reserve:
        os.close(reserve.pop())
    try:
        listener.accept()[0].close()
    except OSError:  # it hung up itself
        pass
    try:
        reserve.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
    except OSError:  # the machine as a whole has none left; the next call tries again
        return


def _credentials(sock: socket.socket) -> tuple[int, int]:
    """(pid, uid) of the process that connected."""
    pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


def _close_all(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())
