"""Sockets that are opened for a process and kept in the holder, so that who connects waits while it starts again.

They are closed when the process has ended for good: shut down first, since something of its tree may still have them.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import sys
from typing import TYPE_CHECKING, Final

from aish.errors import AishError, DisconnectedError
from aish.supervisor.daemon import endpoint
from aish.supervisor.daemon.endpoint import Endpoint
from aish.supervisor.daemon.holding import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aish.supervisor.daemon.holding import Holding
    from aish.supervisor.daemon.process import Process
    from aish.wire.spec import SocketPart

UNNAMED: Final = "unknown"
"""As sd_listen_fds_with_names(3) has it."""
GONE_S: Final = 0.5
"""How long keeper and holder may take to let go of a datagram socket."""


class SocketError(AishError):
    """A socket cannot be opened. `str()` says which, why, and who has it as far as that is known."""

    def __init__(self, message: str, taken: Endpoint | None = None) -> None:
        super().__init__(message)
        self.taken = taken


class Sockets:
    """`has` tells which supervised process, beside the one of that id, has a socket there."""

    def __init__(self, holding: Holding, has: Callable[[Endpoint, str], str | None]) -> None:
        self.holding, self._has = holding, has
        self._closing: dict[str, asyncio.Task[None]] = {}

    async def open(self, process: Process) -> list[int]:
        """Those that are kept, else new ones; descriptors for the caller to close.

        Raises SocketError, DisconnectedError.
        """
        parts, row = process.row.spec.sockets, process.row
        if not parts:
            return []
        await self.closed(row.id)
        wanted = [endpoint.read(part, row.port) for part in parts]
        kept = await self.holding.fetch(store_name(row.id))
        if [bound_to(fd) for fd in kept] == wanted:
            return kept
        _close(kept)
        if kept:  # of another spec
            await self._close(row.id)
        try:
            made = await asyncio.to_thread(bind_all, parts, wanted)
        except SocketError as error:
            if error.taken is None:
                raise
            who = self._has(error.taken, row.id) or await asyncio.to_thread(_listener, error.taken)
            raise SocketError(f"it cannot listen at {endpoint.told(error.taken)}: {who} has it") from None
        try:
            await self.holding.store(store_name(row.id), made)
        except BaseException:
            _close(made)
            raise
        return made

    def close(self, id_: str) -> None:
        """It has ended for good."""
        task: asyncio.Task[None] = asyncio.ensure_future(self._close(id_))
        self._closing[id_] = task
        task.add_done_callback(lambda _: self._closing.pop(id_, None))

    async def closed(self, id_: str) -> None:
        """Until those are closed that are being closed: nobody can connect to them any more."""
        while (closing := self._closing.get(id_)) is not None:
            await asyncio.wait({closing})

    def let_go(self, id_: str) -> None:
        """It is its process's alone from now on."""
        self.holding.drop(store_name(id_))

    async def _close(self, id_: str) -> None:
        try:
            kept = await self.holding.fetch(store_name(id_))
            paths = [place for fd in kept if isinstance(place := _shut(fd), bytes)]
            await self.holding.request("drop", name=store_name(id_))
        except (Refusal, DisconnectedError):
            return  # the next holder has it still: the take-over closes it then
        for path in paths:
            await _unlink_dead(path)

    async def done(self) -> None:
        """Until all that is being closed is closed: nothing may be left in the file system."""
        while self._closing:
            await asyncio.wait(list(self._closing.values()))


def store_name(id_: str) -> str:
    return f"sock.{id_}"


def names(parts: Sequence[SocketPart]) -> list[str]:
    """For LISTEN_FDNAMES. Pure."""
    return [part.name or UNNAMED for part in parts]


# --- the sockets themselves; what may wait for a disk is not for the loop ---------------------------------------


def bind_all(parts: Sequence[SocketPart], places: Sequence[Endpoint]) -> list[int]:
    """All of them or none. Raises SocketError."""
    made: list[int] = []
    try:
        for part, place in zip(parts, places, strict=True):
            made.append(_bound(part, place).detach())
    except OSError as error:
        _close(made)
        why = f"it cannot listen at {endpoint.told(place)}: {error.strerror or error}"
        raise SocketError(why, place if error.errno == errno.EADDRINUSE else None) from None
    return made


def _bound(part: SocketPart, place: Endpoint) -> socket.socket:
    sock = socket.socket(place.family, place.kind | socket.SOCK_CLOEXEC)
    try:
        if isinstance(place.place, bytes):
            _bind_path(sock, place.place)
            _set_mode(place.place, part.mode)
        else:
            if place.kind == socket.SOCK_STREAM:  # of datagram sockets two could then have the same port
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(place.place)
        if place.kind == socket.SOCK_STREAM:
            sock.listen(part.backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_path(sock: socket.socket, path: bytes) -> None:
    """A socket file that nobody listens at any more is replaced, if it is ours; nothing else is."""
    try:
        sock.bind(path)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        status = os.lstat(path)
        if not stat.S_ISSOCK(status.st_mode):
            raise OSError(errno.EEXIST, "there is a file which is no socket") from None
        if status.st_uid != os.geteuid():
            raise OSError(errno.EACCES, "there is a socket of another user") from None
        if not _dead(path):
            raise
        os.unlink(path)
        sock.bind(path)


def _set_mode(path: bytes, mode: int) -> None:
    """Of the very socket file: a link that somebody put in its place is not followed."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            os.chmod(f"/proc/self/fd/{fd}", mode)
    finally:
        os.close(fd)


def _dead(path: bytes) -> bool:
    """Whether nobody listens at a socket file."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as probe:
            try:
                probe.connect(path)
            except OSError as error:
                if error.errno == errno.EPROTOTYPE:
                    continue  # of the other kind
                return error.errno == errno.ECONNREFUSED
            return False
    return False


def bound_to(fd: int) -> Endpoint | None:
    """What a kept descriptor is bound to; None: it is no such socket."""
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            place = sock.getsockname()
            kind = socket.SocketKind(sock.type)
            if sock.family == socket.AF_UNIX:
                return Endpoint(sock.family, kind, os.fsencode(place))
            return Endpoint(socket.AddressFamily(sock.family), kind, (place[0], place[1]))
    except (OSError, ValueError):
        return None


def _shut(fd: int) -> tuple[str, int] | bytes | None:
    """Nobody can connect any more, whoever still has it; the descriptor is closed. Where it was bound."""
    place = bound_to(fd)
    with socket.socket(fileno=fd) as sock:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # a datagram socket has nothing to shut
    return place.place if place is not None else None


async def _unlink_dead(path: bytes) -> None:
    """The socket's file, unless somebody else listens there by now."""
    loop = asyncio.get_running_loop()
    until = loop.time() + GONE_S
    while True:
        try:
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                return
            if _dead(path):
                os.unlink(path)
                return
        except OSError:
            return  # gone, or its folder is
        if loop.time() > until:
            return
        await asyncio.sleep(0.005)  # the keeper closes its duplicate a moment later


def _listener(place: Endpoint) -> str:
    """Who has it, as far as this user may know."""
    import psutil  # not needed until something fails

    try:
        if isinstance(place.place, bytes):
            pid = _listening_pid(place.place)
            return f"{psutil.Process(pid).name()} (pid {pid})" if pid else "somebody else"
        for found in psutil.net_connections("inet"):
            same = found.laddr and found.laddr.port == place.place[1] and found.type == place.kind
            if same and found.status in (psutil.CONN_LISTEN, psutil.CONN_NONE) and found.pid is not None:
                return f"{psutil.Process(found.pid).name()} (pid {found.pid})"
    except (psutil.Error, OSError):
        return "somebody else"
    return "a program of another user"


def _listening_pid(path: bytes) -> int:
    """Who called listen(2) there; 0: nobody can tell. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as probe:
        probe.connect(path)
        return int.from_bytes(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], sys.byteorder)


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
