"""One end of an edge's socket: whole messages in and out, with at most one descriptor each.

The socket stays in blocking mode (the mode belongs to both stages' copies of it); each call says whether it waits.
"""

from __future__ import annotations

import array
import errno
import os
import select
import socket
import stat

from aish.tensor.address import fds_of
from aish.tensor.errors import NoEdgeError, StorageError, WireError
from aish.tensor.wire import DATAGRAM_BYTES, Message, decode

__all__ = ["HANGUP", "Hangup", "Link", "take_edge"]

_FDS_LIMIT = 4  # more than any message carries, so that a surplus is seen and closed
_ANCILLARY_BYTES = socket.CMSG_SPACE(_FDS_LIMIT * array.array("i").itemsize)
# Plain integers: combining the enumeration's members costs more than the system call.
_SEND = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
_RECEIVE = int(socket.MSG_CMSG_CLOEXEC)
_LOOK = int(socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT)
_CUT = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ECONNREFUSED, errno.ENOTCONN, errno.EBADF)


class Hangup:
    """What `receive` gives when the other end is closed and everything it sent was received."""


HANGUP = Hangup()


def take_edge(variable: str) -> tuple[int, ...]:
    """The descriptors that the environment announces: (socket, stats) or (socket,); they are the caller's now.

    They become close-on-exec and the variable is removed, so that no child takes the edge for its own. Raises
    NoEdgeError where there is no edge.
    """
    value = os.environ.pop(variable, None)
    if value is None:
        raise NoEdgeError(
            f"no tensor edge: {variable} is not set (or this program opened its edge already)",
            hint="run it as a stage of a tensor pipeline in aish: a |= b",
        )
    fds = fds_of(value)
    for fd in fds:
        try:
            os.set_inheritable(fd, False)
        except OSError as error:
            raise NoEdgeError(
                f"{variable}={value} names descriptor {fd}, which is not open: {error.strerror}",
                hint="a program between aish and this one closed its descriptors; let it pass them on",
            ) from error
    return fds


class Link:
    """A connected SOCK_SEQPACKET socket. Takes over the descriptor."""

    __slots__ = ("_poll", "_socket")

    def __init__(self, fd: int) -> None:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise NoEdgeError(f"descriptor {fd} is not the socket of a tensor edge")
        self._socket: socket.socket | None = socket.socket(fileno=fd)
        if self._socket.type != socket.SOCK_SEQPACKET or self._socket.family != socket.AF_UNIX:
            self.close()
            raise NoEdgeError(f"descriptor {fd} is a socket, but not that of a tensor edge")
        self._socket.settimeout(None)
        self._poll = select.poll()

    @property
    def closed(self) -> bool:
        """True once closed here."""
        return self._socket is None

    def fileno(self) -> int:
        """The socket's descriptor, -1 once closed."""
        return -1 if self._socket is None else self._socket.fileno()

    def send(self, datagram: bytes, fd: int | None = None) -> bool:
        """Send one message now. False if there is no room.

        Raises BrokenPipeError if the other end is gone, StorageError where the system is out of descriptors.
        """
        if self._socket is None:
            raise BrokenPipeError(errno.EPIPE, "the edge is closed")
        try:
            if fd is None:
                self._socket.send(datagram, _SEND)
            else:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
                self._socket.sendmsg([datagram], rights, _SEND)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _GONE:
                raise BrokenPipeError(errno.EPIPE, "the other end of the edge is gone") from error
            # ETOOMANYREFS: as many descriptors are under way to readers as a process may have open (unix(7)).
            raise StorageError(f"cannot send on a tensor edge: {error.strerror}") from error
        return True

    def receive(self, *, wait: bool) -> tuple[Message, int | None] | Hangup | None:
        """The next message and the descriptor that came with it, which is the caller's to close.

        HANGUP if there will be none, None if there is none now (`wait` false). Raises WireError for garbage, with no
        descriptor left open.
        """
        if self._socket is None:
            return HANGUP
        flags = _RECEIVE if wait else _LOOK
        while True:
            try:
                data, ancillary, state, _ = self._socket.recvmsg(DATAGRAM_BYTES, _ANCILLARY_BYTES, flags)
                break
            except BlockingIOError:
                return None
            except ConnectionResetError:
                # The other end closed with something of ours unread. The kernel says so once, before what it sent
                # (net/unix/af_unix.c, unix_release_sock); the messages are still there.
                continue
        if not data:
            return HANGUP
        fds = _descriptors(ancillary) if ancillary else []
        try:
            if state & _CUT:
                raise WireError(f"more than {DATAGRAM_BYTES} bytes, or too many descriptors", field="length")
            if len(fds) > 1:
                raise WireError(f"{len(fds)} descriptors, at most 1", field="descriptors")
            message = decode(data)
        except WireError:
            for fd in fds:
                os.close(fd)
            raise
        return message, fds[0] if fds else None

    def wait(self, *, read: bool, write: bool, timeout_s: float | None) -> bool:
        """Wait until the socket can be read or written, or its other end is gone; False after `timeout_s`."""
        if self._socket is None:
            return True
        events = (select.POLLIN if read else 0) | (select.POLLOUT if write else 0)
        self._poll.register(self._socket, events)
        return bool(self._poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000))

    def close(self) -> None:
        """Close it. May be called again."""
        end, self._socket = self._socket, None
        if end is not None:
            end.close()


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return fds.tolist()
