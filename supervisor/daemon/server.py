"""The daemon's socket: accepting, greeting, one request after the other. Bad input gets a Failure, no more."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aish.errors import (
    AishError,
    DisconnectedError,
    InputError,
    InternalError,
    LimitError,
    RefusedError,
    StorageError,
    UnavailableError,
    VersionError,
)
from aish.supervisor.daemon import ancestry
from aish.supervisor.daemon.connection import STALL_S, Connection
from aish.supervisor.holder import kernel
from aish.wire import address, codec
from aish.wire.message import (
    VERSION,
    Ask,
    Attach,
    AwaitResponse,
    Events,
    Hello,
    Receive,
    Shutdown,
    Snapshot,
    Spawn,
    Wait,
)
from aish.wire.reply import Failure, Welcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aish.supervisor.daemon.ancestry import Peer
    from aish.supervisor.daemon.authority import Caller
    from aish.wire.message import Request

MOST_CONNECTIONS: Final = 1024
HELLO_S: Final = 10.0
RATE_PER_S: Final = 5000
"""Requests of one connection; beyond that it waits for the next second."""
_LONG: Final = (Wait, Snapshot, Events, Attach, Ask, Receive, AwaitResponse)
"""Requests that only their client waits for: cancelled when it goes."""
SHUTDOWN: Final = "shutdown"
"""The program whose Hello is taken whatever its version; it may only end everything."""
_CROWDED_S: Final = 0.1
"""How long who connects waits for a descriptor before he is turned away."""
_TURNED_AWAY_S: Final = 1.0
"""How long one who is turned away may take for his Hello: the next one waits behind him."""
_ACCEPT_BATCH: Final = 16


def listen(path: str) -> socket.socket:
    """A listening socket at `path`, in place of what was there. Raises StorageError.

    It is bound under another name and renamed, so that a client finds the old socket or the new one, never none.
    The caller has the daemon's lock: what is at `path` is nobody's.
    """
    new = f"{path}.{os.getpid()}"
    try:
        if os.path.lexists(new):
            os.unlink(new)
        sock = address.bind(new)
        sock.listen(128)
        sock.setblocking(False)
        os.rename(new, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(new)
        raise StorageError(f"cannot listen at {path}: {error.strerror}") from error
    return sock


class Server:
    """`identify` tells who a peer acts as; `handle` answers a request on its connection."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        identify: Callable[[Peer], Awaitable[Caller]],
        welcome: Callable[[Caller], Welcome],
        handle: Callable[[Connection, Request, list[int]], Awaitable[None]],
        emptied: Callable[[], None],
    ) -> None:
        self.sock = sock
        self.connections: set[Connection] = set()
        self._identify, self._welcome, self._handle, self._emptied = identify, welcome, handle, emptied
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._spare: int | None = None
        """A descriptor that is free for one who connects when no other is."""
        self._keep_spare()
        self._loop.add_reader(sock, self._accept)

    def listen_again(self, path: str) -> bool:
        """Have the socket at `path` again if it was taken away; False if it was not. Raises StorageError."""
        if self.sock.fileno() < 0 or os.path.exists(path):
            return False
        new = listen(path)
        self._loop.remove_reader(self.sock)
        self.sock.close()
        self.sock = new
        self._loop.add_reader(new, self._accept)
        return True

    def stop_accepting(self, path: str) -> None:
        """Close the listening socket and take its name away: the next client starts a new daemon."""
        if self.sock.fileno() < 0:
            return
        self._loop.remove_reader(self.sock)
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass  # somebody cleaned the runtime folder
        self.sock.close()

    def stand_by(self) -> None:
        """Take in nobody any more, but keep the door: who comes waits until this program has ended, and finds the
        next daemon. Where nobody listened a client would start keeper and holder itself, without what we have for
        them."""
        if self.sock.fileno() >= 0:
            self._loop.remove_reader(self.sock)

    def _accept(self) -> None:
        for _ in range(_ACCEPT_BATCH):
            try:
                sock, _ = self.sock.accept()
            except BlockingIOError:
                return
            except OSError:  # no descriptors left
                self._loop.remove_reader(self.sock)
                self._loop.call_later(_CROWDED_S, self._crowded)
                return
            connection = Connection(sock, self._left)
            self.connections.add(
                connection
            )  # now, not in the task's first turn: who looks whether to leave must see it
            task = self._loop.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _again(self) -> None:
        self._keep_spare()
        if self.sock.fileno() >= 0:
            self._loop.add_reader(self.sock, self._accept)

    def _keep_spare(self) -> None:
        if self._spare is None:
            with suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _crowded(self) -> None:
        """Whether there are some again; else the next one gets the spare one, to hear why he is not served."""
        if self.sock.fileno() < 0:
            return
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        try:
            sock, _ = self.sock.accept()
        except OSError:  # nobody waits any more, or somebody else of ours was faster
            self._again()
            return
        task = self._loop.create_task(self._turn_away(Connection(sock, self._left)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _turn_away(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(_TURNED_AWAY_S):
                _close((await connection.next())[1])  # who is sending does not look for an answer
            text = "the daemon has no descriptor left for another connection"
            hint = "close connections to it, or raise its limit (`ulimit -Hn`)"
            await connection.farewell(failure(LimitError(text, hint=hint)))
        except (TimeoutError, AishError):
            pass  # nothing was asked
        finally:
            connection.close()
            self._again()

    def _left(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self._emptied()

    async def _serve(self, connection: Connection) -> None:
        try:
            await self._greet(connection)
            await self._converse(connection)
        except DisconnectedError:
            pass
        except TimeoutError:
            text = f"cut off: what was sent was not read for {STALL_S:.0f} s"
            hint = "connect again; events go on with `since` the last number that was read"
            await connection.farewell(failure(LimitError(text, hint=hint)))
        except AishError as error:
            await connection.farewell(failure(error))
        except Exception:  # noqa: BLE001  the edge of the process: one connection's fault must not be everybody's
            await connection.farewell(failure(_recorded("a connection")))
        finally:
            connection.close()

    async def _greet(self, connection: Connection) -> None:
        """Hello, who it is, Welcome. Raises the AishError that the client is to see."""
        peer = ancestry.peer(connection.sock)
        try:
            try:
                async with asyncio.timeout(HELLO_S):
                    body, fds = await connection.next()
            except TimeoutError as error:
                raise InputError(f"no Hello came within {HELLO_S:.0f} s", hint="see docs/protocol.md") from error
            _close(fds)
            if peer.uid != os.getuid():  # told after its Hello: who is sending does not look for an answer
                raise RefusedError("this daemon serves another user")
            if len(self.connections) > MOST_CONNECTIONS:
                raise LimitError(f"more than {MOST_CONNECTIONS} connections", hint="close some and try again")
            hello = codec.decode_request(body)
            if not isinstance(hello, Hello):
                raise InputError("the first message must be Hello", hint="see docs/protocol.md")
            if hello.version != VERSION:
                if hello.program != SHUTDOWN:
                    raise _other_version(hello.version)
                connection.version = hello.version  # an upgraded program must be able to end what it replaces
            connection.pid = peer.pid
            connection.caller = await self._identify(peer)
        finally:
            if peer.pidfd is not None:
                os.close(peer.pidfd)
        connection.send(self._welcome(connection.caller))

    async def _converse(self, connection: Connection) -> None:
        count, second = 0, time.monotonic()
        while True:
            body, fds = await connection.next()
            try:
                await self._one(connection, body, fds)
            finally:
                _close(fds)
            await connection.flushed()
            count += 1
            if count >= RATE_PER_S:
                rest = second + 1.0 - time.monotonic()
                if rest > 0:
                    await asyncio.sleep(rest)
                count, second = 0, time.monotonic()

    async def _one(self, connection: Connection, body: bytes, fds: list[int]) -> None:
        try:
            request = codec.decode_request(body)
            if not isinstance(request, Spawn):
                _close(fds)  # nobody asked for them
            if connection.version != VERSION and not isinstance(request, Shutdown):
                raise _other_version(connection.version)
            if isinstance(request, Hello):
                raise InputError("Hello was said already")
            if isinstance(request, _LONG):
                await self._long(connection, request, fds)
            else:
                await self._handle(connection, request, fds)
        except TimeoutError:
            raise
        except DisconnectedError as error:
            if connection.gone:
                raise
            # It was the holder that went away, not this client.
            hint = error.hint or "it is being replaced: try again in a moment"
            connection.send(failure(UnavailableError(str(error), hint=hint)))
        except AishError as error:
            connection.send(failure(error))
        except Exception:  # noqa: BLE001  the edge of the process: recorded, and told to who asked
            connection.send(failure(_recorded("a request")))

    async def _long(self, connection: Connection, request: Request, fds: list[int]) -> None:
        if connection.gone:
            raise DisconnectedError("the client closed the connection")
        task = asyncio.ensure_future(self._handle(connection, request, fds))
        connection.on_gone = task.cancel
        try:
            await task
        except asyncio.CancelledError as error:
            if not connection.gone:
                raise
            raise DisconnectedError("the client closed the connection") from error
        finally:
            connection.on_gone = None


def _other_version(version: int) -> VersionError:
    return VersionError(
        f"the daemon speaks version {VERSION} of the protocol, the client {version}",
        hint="`aish shutdown` ends what the other version supervises; then try again",
    )


def failure(error: AishError) -> Failure:
    return Failure(
        code=error.code,
        message=str(error),
        hint=error.hint,
        field=error.field if isinstance(error, InputError) else None,
    )


def _recorded(what: str) -> InternalError:
    """The current exception, in the daemon's log; what the client is told."""
    kernel.say(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} fault in {what}\n{traceback.format_exc()}")
    return InternalError("a fault of the daemon; details are in its log", hint="`aish doctor` says where its log is")


def _close(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())
