"""Servers that take more than a plain connection, TLS or a proxy, by aiohttp's client.

Loaded with the first such server (upstream.py): the library is a third of what a gateway loads, and who serves models
on this machine never needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp

from aish.supervisor.gateway.broken import (
    BrokenError,
    CertificateError,
    ClosedError,
    CutError,
    LostError,
    NotHttpError,
    ProxyAnsweredError,
    ProxyLostError,
    TlsError,
    UnconnectedError,
)
from aish.supervisor.gateway.kept import Connector, guarded
from aish.supervisor.gateway.pool import CONNECT_S, KEEP_S

if TYPE_CHECKING:
    from multidict import MultiMapping


class Remote:
    """Its methods raise one of broken.FAILURES. `idle_s`: how long a server may be silent."""

    def __init__(self, idle_s: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=idle_s)
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    async def send(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: MultiMapping[str],
        options: dict[str, Any],
        *,
        keep: bool,
    ) -> RemoteReply:
        """Send a request; returns once the head of the reply is here. `keep`: on a connection that was kept, and that
        is kept for the next one."""
        session = self._kept_session() if keep else self._fresh_session()
        try:
            return RemoteReply(
                await session.request(method, url, data=body, headers=headers, allow_redirects=False, **options)
            )
        except aiohttp.ClientError as error:
            raise broken(error) from error

    async def close(self) -> None:
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()

    def _kept_session(self) -> aiohttp.ClientSession:
        if self._kept is None:
            self._kept = self._open(Connector(limit=0, keepalive_timeout=KEEP_S))
        return self._kept

    def _fresh_session(self) -> aiohttp.ClientSession:
        if self._fresh is None:
            self._fresh = self._open(aiohttp.TCPConnector(limit=0, force_close=True))
        return self._fresh

    def _open(self, connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=256 << 10,
        )


class RemoteReply:
    """A Reply (reply.py) that aiohttp's client reads."""

    __slots__ = ("_content", "close", "content_type", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        response = guarded(response)
        self.status, self.headers, self.content_type = response.status, response.headers, response.content_type
        self._content, self.close = response.content, response.close

    behind = False

    async def read(self) -> bytes:
        try:
            return await self._content.readany()
        except aiohttp.ClientError as error:
            raise broken(error) from error

    def rest(self) -> bytes | None:
        return None

    def unread(self) -> bytes:
        return b""


def broken(error: aiohttp.ClientError) -> BrokenError | OSError | ValueError:
    """The same in our words. The most special first: these are each other's subclasses."""
    match error:
        case TimeoutError():
            return TimeoutError()
        case ConnectionResetError():
            return ConnectionResetError(*error.args)
        case aiohttp.ClientPayloadError():
            return CutError()
        case aiohttp.ServerDisconnectedError():
            return ClosedError()
        case aiohttp.ClientHttpProxyError():
            return ProxyAnsweredError(error.status)
        case aiohttp.ClientConnectorCertificateError():
            return CertificateError(getattr(error.certificate_error, "verify_message", ""))
        case aiohttp.ClientSSLError():
            return TlsError()
        case aiohttp.ClientProxyConnectionError():
            return ProxyLostError(error.errno, error.strerror)
        case aiohttp.ClientConnectorError():
            return UnconnectedError(error.errno, error.strerror)
        case aiohttp.ClientOSError():
            return LostError(error.errno, error.strerror)
        case aiohttp.ClientResponseError():  # its message quotes the reply, which may quote our key
            return NotHttpError()
        case ValueError():
            return ValueError()
        case _:
            return BrokenError(type(error).__name__)
