"""The way to a remote server: through which proxy, and whose signature under its certificate counts.

Both can be said of a model. Else the proxy is that of the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY, as curl(1)
has them), never for a server on this machine, and the authorities are the system's (SSL_CERT_FILE of OpenSSL).
"""

from __future__ import annotations

import asyncio
import os
import ssl
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from aish.errors import StorageError
from aish.supervisor.gateway.routes import Server
from aish.wire import authorities

_Stamp = tuple[int, int, int]


class Ways:
    def __init__(self) -> None:
        self._contexts: dict[str, tuple[_Stamp, ssl.SSLContext]] = {}
        self._system: ssl.SSLContext | None = None

    async def prepare(self, server: Server) -> None:
        """To be called before `options`: a file that changed is read anew. Raises StorageError."""
        path = server.ca_file
        if path is None:
            return
        try:
            stamp = _stamp(path)
            known = self._contexts.get(path)
            if known is None or known[0] != stamp:
                self._contexts[path] = stamp, await asyncio.to_thread(_context, path)
        except ssl.SSLError as error:
            raise StorageError(f"the CA file of {server.name} has no certificates in PEM", hint=path) from error
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a path"
            raise StorageError(f"cannot read the CA file of {server.name}: {reason}", hint=path) from error

    async def options(self, server: Server) -> dict[str, Any]:
        """What aiohttp's requests are told."""
        proxy = proxy_of(server)
        found: dict[str, Any] = {"proxy": proxy}
        if server.ca_file is not None:
            found["ssl"] = self._contexts[server.ca_file][1]
        elif server.url.startswith("https:") or (proxy is not None and proxy.startswith("https:")):
            if self._system is None:
                self._system = await asyncio.to_thread(authorities.trusted)
            found["ssl"] = self._system
        return found


def proxy_of(server: Server) -> str | None:
    """The address of the proxy in between; None: there is none."""
    if server.proxy is not None:
        return server.proxy
    if server.local:
        return None
    try:
        url = urlsplit(server.url)
    except ValueError:
        return None  # who connects says that it is no address
    found = urllib.request.getproxies()
    if urllib.request.proxy_bypass(url.netloc):
        return None
    proxy = found.get(url.scheme, "")
    return proxy if proxy.startswith(("http://", "https://")) else None


def _context(path: str) -> ssl.SSLContext:
    context = authorities.trusted()
    context.load_verify_locations(cafile=path)
    return context


def _stamp(path: str) -> _Stamp:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size, status.st_ino
