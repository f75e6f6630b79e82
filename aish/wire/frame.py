"""Frames on a Unix stream socket: length (u32, little-endian), number of descriptors (u8), one msgpack body.

The descriptors of a frame are attached (SCM_RIGHTS) to its first byte. The kernel may hand over the end of one frame
together with the descriptors of the next, so the header counts them. Everything received is bounded: a peer can
neither make us allocate more than MAX_FRAME_BYTES nor hold more than MAX_FDS descriptors open.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from collections import deque
from typing import Final

from aish.errors import DisconnectedError, InputError

MAX_FRAME_BYTES: Final = 8 << 20  # ARG_MAX is 2 MiB for arguments and environment together
MAX_FDS: Final = 64
_HEADER: Final = struct.Struct("<IB")
_READ_BYTES: Final = 256 << 10


def pack(body: bytes, fd_count: int = 0) -> bytes:
    """The bytes of one frame. Raises InputError above MAX_FRAME_BYTES or MAX_FDS."""
    if fd_count > MAX_FDS:
        raise InputError(f"more than {MAX_FDS} descriptors in one message")
    if len(body) > MAX_FRAME_BYTES:
        raise InputError(
            f"message of {len(body)} bytes is above the bound of {MAX_FRAME_BYTES}",
            hint="the arguments and the environment together must stay below 2 MiB",
        )
    return _HEADER.pack(len(body), fd_count) + body


class Decoder:
    """Pure half of a connection: bytes and descriptors in, whole (body, descriptors) pairs out.

    Raises InputError on a length above the bound or too many descriptors; the connection is then beyond repair.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fds: deque[int] = deque()

    def feed(self, data: bytes, fds: list[int]) -> list[tuple[bytes, list[int]]]:
        """Every frame that `data` completes, each with the descriptors that its header announced."""
        self._buffer += data
        self._fds.extend(fds)
        if len(self._fds) > 2 * MAX_FDS:
            raise self._broken(f"more than {MAX_FDS} descriptors in one message")
        frames = []
        while len(self._buffer) >= _HEADER.size:
            length, fd_count = _HEADER.unpack_from(self._buffer)
            if length > MAX_FRAME_BYTES:
                raise self._broken(f"frame of {length} bytes is above the bound of {MAX_FRAME_BYTES}")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                break
            body = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            if fd_count > len(self._fds):
                raise self._broken(f"frame announces {fd_count} descriptors, {len(self._fds)} came")
            frames.append((body, [self._fds.popleft() for _ in range(fd_count)]))
        return frames

    def _broken(self, message: str) -> InputError:
        self.close()
        return InputError(message)

    @property
    def pending(self) -> bool:
        """True in the middle of a frame: an end of file here means that the peer died while sending."""
        return bool(self._buffer)

    def close(self) -> None:
        """Give back descriptors that no frame claimed."""
        while self._fds:
            os.close(self._fds.popleft())
        self._buffer.clear()


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """One recvmsg: bytes and the descriptors that came with them (close-on-exec). b'' at end of file.

    Raises BlockingIOError on a non-blocking socket with nothing to read, InputError when descriptors were cut.
    """
    room = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
    data, ancillary, flags, _ = sock.recvmsg(_READ_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            ints = array.array("i")
            ints.frombytes(payload[: len(payload) - len(payload) % ints.itemsize])
            fds.extend(ints)
    if flags & socket.MSG_CTRUNC:
        for fd in fds:
            os.close(fd)
        raise InputError(f"more than {MAX_FDS} descriptors in one message")
    return data, fds


def send(sock: socket.socket, body: bytes, fds: list[int] | None = None) -> None:
    """Send one frame on a blocking socket, descriptors on its first byte. Raises OSError, InputError.

    A dead peer is an error and never SIGPIPE, which in a shell and its stages has its default action.
    """
    frame = memoryview(pack(body, len(fds or ())))
    sent = 0
    if fds:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        sent = sock.sendmsg([frame], rights, socket.MSG_NOSIGNAL)  # send_fds drops its flags before Python 3.13
    sock.sendall(frame[sent:], socket.MSG_NOSIGNAL)


class Channel:
    """A blocking connection that sends and receives whole frames."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._decoder = Decoder()
        self._frames: deque[tuple[bytes, list[int]]] = deque()

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(self, body: bytes, fds: list[int] | None = None) -> None:
        self._check_open()
        try:
            send(self.sock, body, fds)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise DisconnectedError("the other side closed the connection") from error

    def receive(self) -> tuple[bytes, list[int]]:
        """The next frame; waits for it.

        Raises DisconnectedError when the peer is gone, TimeoutError as set on the socket.
        """
        while not self._frames:
            self._check_open()
            try:
                data, fds = receive(self.sock)
            except ConnectionResetError as error:
                raise DisconnectedError("the other side closed the connection") from error
            if not data:
                raise DisconnectedError("the other side closed the connection")
            self._frames.extend(self._decoder.feed(data, fds))
        return self._frames.popleft()

    def _check_open(self) -> None:
        """A client that found no daemon in the place of a dead one has a closed connection: it looks again."""
        if self.sock.fileno() < 0:
            raise DisconnectedError("the connection is closed")

    @property
    def buffered(self) -> bool:
        """True if a whole frame is here already, so that select() on fileno() would wait in vain."""
        return bool(self._frames)

    def close(self) -> None:
        self._decoder.close()
        for _, fds in self._frames:
            for fd in fds:
                os.close(fd)
        self._frames.clear()
        self.sock.close()
