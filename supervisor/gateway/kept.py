"""What the connections of aiohttp's client lack: servers that break HTTP inside a reply, or say more than that.

Both lean on a little of the library that it does not promise; tests say when that is no longer so.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class Connector(aiohttp.TCPConnector):
    """One that never uses a connection again on which something came that nobody asked for: a second reply behind the
    first would be the answer to whoever asks next. The library looks before it keeps a connection, and not after."""

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            if protocol is not None and not protocol.should_close:
                return connection
            connection.close()
        return None


def guarded(response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    """The response, whose reader is told when the server breaks the framing of its body: the library (3.14) closes
    the connection then, and lets the reader wait for ever."""
    connection = response.connection
    protocol = connection.protocol if connection is not None else None
    closed = protocol.closed if protocol is not None else None
    if protocol is not None and closed is not None:

        def tell(lost: asyncio.Future[None]) -> None:
            lost.exception()  # it was seen: the reader is told otherwise
            content = response.content
            broken = isinstance(protocol.exception(), HttpProcessingError)
            if broken and not content.is_eof() and content.exception() is None:
                content.set_exception(aiohttp.ClientPayloadError("the body is not framed as HTTP has it"))

        closed.add_done_callback(tell)
    return response
