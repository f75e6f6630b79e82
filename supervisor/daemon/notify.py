"""What processes tell by themselves: sd_notify(3), one datagram socket for each that is to.

The socket lies in the runtime folder and, so that no word gets lost while no daemon runs, in the holder's store; when
keeper and holder have died, the daemon passes its own on to the next ones. A datagram counts where its sender
(SCM_CREDENTIALS, told by the kernel) is of the process's tree. Descriptors are taken from who may have some kept;
those of others the kernel closes, which is all that a barrier (sd_notify(3)) waits for.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING, Final

from aish.errors import StorageError
from aish.supervisor.holder.wire import KERNEL_FDS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.daemon.process import Process

VARIABLE: Final = "NOTIFY_SOCKET"
DATAGRAM_BYTES: Final = 4096
PATH_BYTES: Final = 107
"""What sun_path holds; clients of sd_notify know no way round it."""
BATCH: Final = 64
BATCHES: Final = 16
"""More cannot wait at once, unless somebody talks without end (net.unix.max_dgram_qlen is 10, as a rule)."""
_CREDENTIALS: Final = struct.Struct("3i")
_ROOM: Final = socket.CMSG_SPACE(_CREDENTIALS.size)
_FDS_ROOM: Final = socket.CMSG_SPACE(KERNEL_FDS_MAX * array.array("i").itemsize)


def parse(data: bytes) -> dict[str, str]:
    """NAME=value lines. What is none is left out. Pure."""
    found = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        name, equals, value = line.partition("=")
        if equals and name.isascii() and name.replace("_", "").isalnum():
            found[name] = value
    return found


def store_name(id_: str) -> str:
    return f"notify.{id_}"


class Notices:
    """`told` gets what a process of ours said, and the descriptors that came with it, to close; `ours` tells whether
    a pid is of its tree."""

    def __init__(
        self,
        folder: str,
        told: Callable[[Process, dict[str, str], list[int]], None],
        ours: Callable[[Process, int], bool],
    ) -> None:
        self.folder = folder
        self._told, self._ours = told, ours
        self._sockets: dict[str, socket.socket] = {}

    def path(self, id_: str) -> str:
        return os.path.join(self.folder, id_)

    def missing(self, id_: str) -> bool:
        """Whether nobody finds its socket any more: it was taken away with the runtime folder."""
        return not os.path.lexists(self.path(id_))

    def legacy(self) -> dict[str, int]:
        """All sockets, by the names under which the next daemon finds them."""
        return {store_name(id_): sock.fileno() for id_, sock in self._sockets.items()}

    def keep_status(self, id_: str, text: str) -> None:
        """Beside its socket, so that the next daemon can show it: it may be said once, and a journal is no place for
        what may change a hundred times a second."""
        path = self._status_path(id_)
        try:
            with open(f"{path}.new", "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
            os.rename(f"{path}.new", path)
        except OSError:
            return  # the folder is full, or was taken away: it is shown as long as we live

    def status(self, id_: str) -> str | None:
        """What it has said last, to whichever daemon; None: nothing."""
        try:
            with open(self._status_path(id_), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return None

    def _status_path(self, id_: str) -> str:
        return f"{self.path(id_)}.status"

    def bind(self, process: Process) -> socket.socket:
        """A new socket for it, listened to. Raises StorageError."""
        path = self.path(process.id)
        if len(os.fsencode(path)) > PATH_BYTES:
            raise StorageError(f"{path} is too long for a socket", hint="use a shorter XDG_RUNTIME_DIR")
        try:
            os.makedirs(self.folder, 0o700, exist_ok=True)
            if os.path.lexists(path):
                os.unlink(path)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            sock.bind(path)
            os.chmod(path, 0o600)
        except OSError as error:
            raise StorageError(f"cannot listen at {path}: {error.strerror}") from error
        self.listen(process, sock)
        return sock

    def listen(self, process: Process, sock: socket.socket) -> None:
        self.close(process.id)
        sock.setblocking(False)
        self._sockets[process.id] = sock
        asyncio.get_running_loop().add_reader(sock, self.read, process, sock)

    def close(self, id_: str, *, remove: bool = False) -> None:
        sock = self._sockets.pop(id_, None)
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
        if remove:
            for path in (self.path(id_), self._status_path(id_)):
                with contextlib.suppress(OSError):  # never made, or gone with the runtime folder
                    os.unlink(path)

    def hear(self, process: Process) -> bool:
        """All its words so far: before it is judged by its silence, or its socket closed. False where nobody here
        listens to it."""
        sock = self._sockets.get(process.id)
        if sock is None:
            return False
        for _ in range(BATCHES):
            if not self.read(process, sock):
                break
        return True

    def read(self, process: Process, sock: socket.socket) -> bool:
        """What waits at its socket; whether that may not be all."""
        room = _ROOM + (_FDS_ROOM if process.row.spec.kept_fds_most else 0)
        for _ in range(BATCH):
            try:
                data, ancillary, _, _ = sock.recvmsg(DATAGRAM_BYTES, room, socket.MSG_CMSG_CLOEXEC)
            except OSError:
                return False
            pid, fds = _sender(ancillary)
            if self._ours(process, pid):
                self._told(process, parse(data), fds)
            else:
                for fd in fds:
                    os.close(fd)
        return True


def _sender(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, list[int]]:
    """Its pid (0: not told) and the descriptors that it sent. Pure."""
    pid, fds = 0, array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid = _CREDENTIALS.unpack(content[: _CREDENTIALS.size])[0]
        elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return pid, list(fds)
