"""Doors of sandboxes: listening sockets inside of their networks, kept here and in the holder, served by others.

A program's leader binds them (aish.sandbox.enter.doors) and sends them by a channel, a socket whose other end is
here. What comes is stored in the holder before it is taken off the channel, so that nothing is lost whoever dies, and
handed to the gateway and the proxy. A network is over when the pipe that came with its doors ends.
"""

from __future__ import annotations

import array
import asyncio
import os
import re
import secrets
import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.errors import DisconnectedError
from aish.model.sandbox import GATEWAY, PROXY
from aish.supervisor.daemon.holding import Refusal
from aish.wire import door as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aish.model.sandbox import Door
    from aish.supervisor.daemon.connection import Connection
    from aish.supervisor.daemon.holding import Holding
    from aish.supervisor.daemon.system_child import SystemChild

NETWORKS_MOST: Final = 64
"""Of one process at a time: what runs in it, its hooks, its probes."""
_LIFE: Final = "life"
_MESSAGE: Final = re.compile(r"([0-9a-f]{16})((?: (?:gateway|proxy)){1,2})")
_MESSAGE_BYTES: Final = 64
_FDS_ROOM: Final = socket.CMSG_SPACE(3 * array.array("i").itemsize)
_STORED: Final = re.compile(r"door\.([^.]+)\.([0-9a-f]{16})\.(life|gateway|proxy)")
_CHANNEL: Final = re.compile(r"doorway\.([^.]+)\.([0-9a-f]{16})")


class Network(NamedTuple):
    """`fds` are ours: the pipe's end under "life", and a listening socket for each door."""

    process: str
    name: str
    fds: dict[str, int]

    @property
    def key(self) -> str:
        return f"{self.process}.{self.name}"

    def close(self) -> None:
        for fd in self.fds.values():
            os.close(fd)


class Doors:
    """`child` starts who answers at a door."""

    def __init__(self, holding: Holding, child: Callable[[Door], SystemChild]) -> None:
        self._holding, self._child = holding, child
        self._networks: dict[str, Network] = {}
        self._channels: dict[tuple[str, str], socket.socket] = {}
        self._servers: dict[Door, Connection] = {}
        self._receivers: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()

    async def channel(self, id_: str) -> int:
        """One end of a new one, for the process; the caller closes it. Raises DisconnectedError, Refusal."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        name = secrets.token_hex(8)
        try:
            await self._holding.store(_channel_name(id_, name), [ours.fileno()])
        except BaseException:
            ours.close()
            theirs.close()
            raise
        self._listen(id_, name, ours)
        return theirs.detach()

    async def restore(self, alive: set[str]) -> None:
        """What a daemon before has left in the holder. Raises DisconnectedError."""
        found: dict[tuple[str, str], dict[str, int]] = {}
        for stored in await self._holding.names():
            channel = _CHANNEL.fullmatch(stored)
            match = channel or _STORED.fullmatch(stored)
            if match is None:
                continue
            fds = await self._holding.fetch(stored) if match[1] in alive else []
            if not fds:
                self._holding.drop(stored)
            elif channel is not None:
                self._listen(match[1], match[2], socket.socket(fileno=fds[0]))
            else:
                found.setdefault((match[1], match[2]), {})[match[3]] = fds[0]
        for (id_, name), parts in found.items():
            network = Network(id_, name, parts)
            if _LIFE in parts and len(parts) > 1:
                self._have(network)
            else:  # all of it is in its channel still
                network.close()

    def over(self, id_: str) -> None:
        """A run of the process has ended, and all of its tree."""
        for key in [key for key in self._channels if key[0] == id_]:
            self._drop_channel(*key)
        for network in [network for network in self._networks.values() if network.process == id_]:
            self._drop(network)

    def legacy(self) -> dict[str, int]:
        """All descriptors, by the names under which the next daemon finds them."""
        channels = {_channel_name(*key): sock.fileno() for key, sock in self._channels.items()}
        return channels | {
            _door_name(network, part): fd for network in self._networks.values() for part, fd in network.fds.items()
        }

    def close(self) -> None:
        """Look at nothing any more. All stays open: the next daemon may get it from us."""
        for task in self._receivers.values():
            task.cancel()
        for network in self._networks.values():
            self._loop.remove_reader(network.fds[_LIFE])

    # --- who serves them ----------------------------------------------------------------------------------------

    def listeners(self, door: Door) -> Iterator[int]:
        """For who starts its server when somebody knocks."""
        return (network.fds[door] for network in self._networks.values() if door in network.fds)

    def serve(self, door: Door, connection: Connection) -> None:
        """The program behind it answers from now on: it gets all there are."""
        self._servers[door] = connection
        mine = [network for network in self._networks.values() if door in network.fds]
        connection.send(wire.Doors(keys=[network.key for network in mine]))
        for network in mine:
            _hand(connection, network, door)

    def unserve(self, door: Door, connection: Connection) -> None:
        if self._servers.get(door) is connection:
            del self._servers[door]

    # --- what comes ---------------------------------------------------------------------------------------------

    def _listen(self, id_: str, name: str, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._channels[id_, name] = sock
        self._receivers[id_, name] = self._loop.create_task(self._receive(id_, name, sock), name="doorway")

    async def _receive(self, id_: str, name: str, sock: socket.socket) -> None:
        """Until nobody has its other end any more, or it is dropped."""
        while True:
            try:
                data, fds = _peek(sock)
            except BlockingIOError:
                await _readable(self._loop, sock)
                continue
            except OSError:
                break
            if not data:
                break
            network = self._read(id_, data, fds)
            if network is not None:
                try:
                    await self._keep(network)
                except BaseException:
                    network.close()
                    raise
            sock.recv(_MESSAGE_BYTES)  # now that it cannot get lost
            if network is not None:
                self._have(network)
        self._drop_channel(id_, name)

    def _read(self, id_: str, data: bytes, fds: list[int]) -> Network | None:
        """What a message says; None: it is none, and its descriptors are closed."""
        match = _MESSAGE.fullmatch(data.decode("ascii", "replace"))
        parts = [_LIFE, *(match[2].split() if match else ())]
        many = sum(network.process == id_ for network in self._networks.values()) >= NETWORKS_MOST
        if match is None or many or len(set(parts)) != len(fds) or not all(map(_listens, fds[1:])):
            for fd in fds:
                os.close(fd)
            return None
        return Network(id_, match[1], dict(zip(parts, fds, strict=True)))

    async def _keep(self, network: Network) -> None:
        """In the holder, whichever it is by then."""
        for part, fd in network.fds.items():
            while True:
                try:
                    await self._holding.store(_door_name(network, part), [fd])
                except DisconnectedError:
                    await self._holding.reachable()
                    continue
                except Refusal:
                    pass  # it is full: this one goes with the daemon
                break

    def _have(self, network: Network) -> None:
        before = self._networks.get(network.key)
        if before is not None:  # told again to a daemon that had stored it before it died
            network.close()
            return
        self._networks[network.key] = network
        self._loop.add_reader(network.fds[_LIFE], self._drop, network)
        for door in (GATEWAY, PROXY):
            if door not in network.fds:
                continue
            connection = self._servers.get(door)
            if connection is not None:
                _hand(connection, network, door)
            else:
                self._child(door).knockable(network.fds[door])

    # --- what goes ----------------------------------------------------------------------------------------------

    def _drop(self, network: Network) -> None:
        if self._networks.pop(network.key, None) is None:
            return
        self._loop.remove_reader(network.fds[_LIFE])
        for door in (GATEWAY, PROXY):
            if door in network.fds:
                self._child(door).unknockable(network.fds[door])
                connection = self._servers.get(door)
                if connection is not None:
                    connection.send(wire.Shut(key=network.key))
        self._forget(network)

    def _forget(self, network: Network) -> None:
        for part in network.fds:
            self._holding.drop(_door_name(network, part))
        network.close()

    def _drop_channel(self, id_: str, name: str) -> None:
        sock, task = self._channels.pop((id_, name)), self._receivers.pop((id_, name))
        if task is not asyncio.current_task():
            task.cancel()
        self._holding.drop(_channel_name(id_, name))
        self._loop.remove_reader(sock)
        sock.close()


def _hand(connection: Connection, network: Network, door: Door) -> None:
    connection.send(wire.Door(key=network.key, process=network.process), [os.dup(network.fds[door])])


def _peek(sock: socket.socket) -> tuple[bytes, list[int]]:
    """The next message, which stays there, and copies of its descriptors. Raises OSError."""
    data, ancillary, _, _ = sock.recvmsg(_MESSAGE_BYTES, _FDS_ROOM, socket.MSG_PEEK | socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)


def _listens(fd: int) -> bool:
    """Whether it is what may be a door: a listening socket of TCP."""
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            stream = sock.family == socket.AF_INET and sock.type == socket.SOCK_STREAM
            return stream and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    except OSError:
        return False


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    woken: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, _wake, woken)
    try:
        await woken
    finally:
        if sock.fileno() >= 0:  # else it was dropped meanwhile
            loop.remove_reader(sock)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _channel_name(id_: str, name: str) -> str:
    return f"doorway.{id_}.{name}"


def _door_name(network: Network, part: str) -> str:
    return f"door.{network.process}.{network.name}.{part}"
