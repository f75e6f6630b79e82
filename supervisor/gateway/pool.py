"""Connections to model servers by address: made when needed, kept for the next request for a moment where that helps.

unix:PATH                              a Unix socket
http://HOST[:PORT][/PATH]              TCP; whatever else a URL can have is not for here (see upstream.py)
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import time
from typing import TYPE_CHECKING, Final

import msgspec

from aish.supervisor.gateway.broken import ClosedError, LostError
from aish.supervisor.gateway.connection import Connection, head
from aish.supervisor.gateway.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.gateway.connection import PlainReply

CONNECT_S: Final = 5.0
# Servers close idle connections after 5 s (llama.cpp, uvicorn): ours must go first, or a request meets the closing.
KEEP_S: Final = 3.0
MOST_KEPT: Final = 256
"""Idle connections to one server."""
AGAIN_S: Final = 1.0
_PORT: Final = 80
_URL: Final = re.compile(
    r"http://(?P<place>(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?)(?:/[A-Za-z0-9/._~-]*)?"
)


class Address(msgspec.Struct, frozen=True):
    """`path` of a Unix socket, or `host` and `port`."""

    told: str
    """In the header Host."""
    path: str = ""
    host: str = ""
    port: int = _PORT
    numeric: bool = False


def address(url: str) -> Address | None:
    """Where a server of that URL listens; None where it takes more than a plain connection to get there."""
    if url.startswith("unix:"):
        return Address("localhost", path=url.removeprefix("unix:"))
    match = _URL.fullmatch(url)
    if match is None:
        return None
    host, port = match["host"].strip("[]"), int(match["port"] or _PORT)
    numeric = True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        numeric = False
    return Address(match["place"], host=host, port=port, numeric=numeric) if port < 1 << 16 else None


class Pool:
    """All connections that are ours. `idle_s`: how long a server may be silent while something is expected of it.

    The clock is Python's: who asks for the running loop asks the kernel for the process's number, too.
    """

    def __init__(self, idle_s: float, outbox: Outbox | None = None) -> None:
        self._idle_s = idle_s
        self._outbox = outbox or Outbox()
        self._connections: set[Connection] = set()
        self._kept: dict[Address, list[tuple[Connection, float]]] = {}
        """Idle ones with the time since when, the newest last."""
        self._timer: asyncio.TimerHandle | None = None

    async def send(
        self,
        where: Address,
        method: str,
        target: str,
        fields: str,
        body: bytes | None,
        *,
        keep: bool,
    ) -> PlainReply:
        """Send a request, with lines of fields; returns once the head of the reply is here. The caller closes it.

        A kept connection that the server closed at the same moment is replaced by a fresh one, once. Raises
        one of broken.FAILURES.
        """
        told = head(method, target, where.told, fields, None if body is None else len(body), keep=keep)
        if keep:
            connection = self._take(where)
            if connection is not None:
                sent_s = time.monotonic()
                try:
                    return await connection.send(told, body or b"")
                except ClosedError:
                    if time.monotonic() - sent_s > AGAIN_S:
                        raise
        connection = await self._connect(where, keep=keep)
        return await connection.send(told, body or b"")

    def forget(self, where: Address) -> None:
        """The server is gone."""
        for connection, _ in self._kept.pop(where, ()):
            connection.abort()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._kept.clear()
        for connection in list(self._connections):
            connection.abort()

    # --- keeping ------------------------------------------------------------------------------------------------

    def _take(self, where: Address) -> Connection | None:
        kept = self._kept.get(where)
        now_s = time.monotonic()
        while kept:
            connection, since_s = kept.pop()
            if connection.usable and now_s - since_s < KEEP_S:
                return connection
            connection.abort()
        return None

    def _keep(self, where: Address, connection: Connection) -> None:
        kept = self._kept.setdefault(where, [])
        if len(kept) >= MOST_KEPT:
            connection.abort()
            return
        kept.append((connection, time.monotonic()))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(KEEP_S, self._sweep)

    def _sweep(self) -> None:
        """Close what was idle for too long; again as long as there are others."""
        now_s = time.monotonic()
        for where, kept in list(self._kept.items()):
            while kept and now_s - kept[0][1] >= KEEP_S:
                kept.pop(0)[0].abort()
            if not kept:
                del self._kept[where]
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(KEEP_S / 4, self._sweep) if self._kept else None

    # --- connecting ---------------------------------------------------------------------------------------------

    async def _connect(self, where: Address, *, keep: bool) -> Connection:
        """Raises LostError, TimeoutError."""

        def released(connection: Connection) -> None:
            if keep:
                self._keep(where, connection)
            else:
                connection.abort()

        def lost(connection: Connection) -> None:
            self._connections.discard(connection)
            kept = self._kept.get(where)
            if kept:
                self._kept[where] = [entry for entry in kept if entry[0] is not connection]

        def made() -> Connection:
            return Connection(self._idle_s, released, lost, self._outbox)

        try:
            connection = await _open(where, made)
        except TimeoutError:
            raise
        except OSError as error:
            raise LostError(error.errno, error.strerror) from error
        if connection.usable:  # else it is closed already
            self._connections.add(connection)
        return connection


async def _open(where: Address, made: Callable[[], Connection]) -> Connection:
    """Raises OSError, ValueError for an address that is none."""
    loop = asyncio.get_running_loop()
    if where.path:
        async with asyncio.timeout(CONNECT_S):
            return (await loop.create_unix_connection(made, where.path))[1]
    hosts = [where.host]
    if not where.numeric:
        async with asyncio.timeout(CONNECT_S):
            found = await loop.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
        hosts = [str(place[0]) for *_, place in found]
    failed: OSError | None = None
    for host in dict.fromkeys(hosts):
        try:
            async with asyncio.timeout(CONNECT_S):
                return (await loop.create_connection(made, host, where.port))[1]
        except OSError as error:
            failed = failed or error
    raise failed or OSError(f"{where.host} has no address")
