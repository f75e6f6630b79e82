"""One connection to the proxy: its head, who it is, whether it may, the host, then bytes."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import traceback
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

from aish.supervisor.egress import address, request, through
from aish.supervisor.egress.guests import CONNECTIONS_MOST
from aish.supervisor.egress.refused import RefusedError
from aish.supervisor.egress.relay import relay
from aish.supervisor.egress.through import Opened
from aish.supervisor.egress.way import Ways
from aish.wire.egress import Passed
from aish.wire.listeners import Listeners

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine

    from aish.supervisor.egress.address import Streams
    from aish.supervisor.egress.guests import Guest, Guests

HEAD_S: Final = 30.0
"""Until a whole head is here."""
DIALS_MOST: Final = 64
"""That are resolved or connected to at the same time: resolving takes a thread."""
STRANGERS_MOST: Final = 512
"""Connections of which it is not known yet what they want: at one door, or at that of all."""
VISITS_MOST: Final = 2 * CONNECTIONS_MOST + STRANGERS_MOST
"""Connections at one door, with those that are about to be refused: more are cut without a word."""
LINGER_S: Final = 1.0
_BACKLOG: Final = 256
_EARLY_BYTES: Final = 64 << 10
_OPENED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Server:
    def __init__(self, guests: Guests, head_s: float = HEAD_S, ways: Ways | None = None) -> None:
        self._guests, self._head_s, self._ways = guests, head_s, ways or Ways()
        self.doors = Listeners(self.listen, say)
        self._visits: set[asyncio.Task[None]] = set()
        self._at: Counter[str | None] = Counter()
        self._strangers: Counter[str | None] = Counter()
        self._dials = asyncio.Semaphore(DIALS_MOST)

    async def listen(self, process: str | None, sock: socket.socket) -> asyncio.Server:
        """`process`: whose door it is; None: everybody's, who has to say who he is."""
        visit = partial(self._visit, process)
        return await asyncio.start_server(visit, sock=sock, limit=request.HEAD_BYTES, backlog=_BACKLOG)

    async def close(self) -> None:
        self.doors.close()
        for task in self._visits:
            task.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)

    async def _visit(self, process: str | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if process is not None and self._at[process] >= VISITS_MOST:
            writer.transport.abort()
            return
        self._visits.add(task)
        self._at[process] += 1
        try:
            await self._serve(process, (reader, writer))
        except RefusedError as error:
            await _refuse((reader, writer), error)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            writer.transport.abort()  # it has gone, or was silent
        except Exception:  # noqa: BLE001  the edge of the process: recorded, and this connection ends
            say(f"fault in a connection\n{traceback.format_exc()}")
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()  # the proxy ends
        finally:
            self._visits.discard(task)
            _less(self._at, process)

    async def _serve(self, process: str | None, client: Streams) -> None:
        wanted, guest = await self._known(process, client[0])
        if guest.connections >= CONNECTIONS_MOST:
            raise RefusedError(429, f"more than {CONNECTIONS_MOST} connections of this process")
        guest.connections += 1
        try:
            early = await _while_there(client[0], self._guests.check(guest, wanted.host, wanted.port))
            async with guest.dials, self._dials:
                host = await self._reached(guest, wanted)
            passed = partial(self._passed, guest.said.id, wanted)
            if wanted.head is None:
                client[1].write(_OPENED)
            first = host.head + (b"" if host.answer_only else early)
            host.streams[1].write(first)
            passed(len(first), 0, connections=1)
            await relay(client, host.streams, passed, answer_only=host.answer_only)
        finally:
            guest.connections -= 1

    def _passed(self, id_: str, wanted: request.Wanted, sent: int, received: int, connections: int = 0) -> None:
        self._guests.tally.count(
            Passed(
                process=id_,
                host=wanted.host,
                port=wanted.port,
                connections=connections,
                sent_bytes=sent,
                received_bytes=received,
            )
        )

    async def _reached(self, guest: Guest, wanted: request.Wanted) -> Opened:
        """Raises RefusedError."""
        proxy = self._ways.to(wanted.host, wanted.port, secure=wanted.head is None)
        if proxy is not None:
            return await through.connect(proxy, wanted)
        anywhere = guest.anywhere(wanted.host)
        streams = await address.connect(wanted.host, wanted.port, anywhere=anywhere)
        return Opened(streams, wanted.head or b"", answer_only=False)

    async def _known(self, process: str | None, reader: asyncio.StreamReader) -> tuple[request.Wanted, Guest]:
        """Raises RefusedError, TimeoutError, IncompleteReadError."""
        if self._strangers[process] >= STRANGERS_MOST:
            raise RefusedError(503, "too many connections wait here")
        self._strangers[process] += 1
        try:
            async with asyncio.timeout(self._head_s):
                head = await reader.readuntil(request.END)
            wanted = request.read(head.removesuffix(request.END))
            return wanted, await self._guests.who(process, wanted)
        except asyncio.LimitOverrunError:
            raise RefusedError(431, f"a head of more than {request.HEAD_BYTES} bytes") from None
        finally:
            _less(self._strangers, process)


def _less(counts: Counter[str | None], process: str | None) -> None:
    counts[process] -= 1
    if not counts[process]:
        del counts[process]


async def _while_there(reader: asyncio.StreamReader, check: Coroutine[object, object, None]) -> bytes:
    """Until `check` is done; what the client has said meanwhile. Raises what that raises, ConnectionResetError when
    the client does not wait any more."""
    checking = asyncio.ensure_future(check)
    await asyncio.sleep(0)
    if checking.done():
        checking.result()
        return b""
    reading = asyncio.ensure_future(reader.read(_EARLY_BYTES))
    try:
        await asyncio.wait((checking, reading), return_when=asyncio.FIRST_COMPLETED)
        if reading.done() and not reading.result():
            raise ConnectionResetError
        await checking
        return reading.result() if reading.done() else b""
    finally:
        checking.cancel()
        reading.cancel()
        await asyncio.gather(checking, reading, return_exceptions=True)


async def _refuse(client: Streams, error: RefusedError) -> None:
    """Gently: cut at once, who is still sending might not see it."""
    reader, writer = client
    with contextlib.suppress(OSError, TimeoutError):
        writer.write(error.answer())
        writer.write_eof()
        async with asyncio.timeout(LINGER_S):
            while await reader.read(_EARLY_BYTES):
                pass
    writer.transport.abort()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
