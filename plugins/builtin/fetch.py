"""The tool that fetches a page: hosts of a list, public addresses, text, bounded.

A name is resolved once for each connection, by `_Checked`, and the connection goes to the very address that was
checked: a name that answers differently the second time (DNS rebinding) gains nothing. Redirects are followed here,
each checked as if it had been asked for. No proxy of the environment is used: it would resolve names on its own.

In a sandbox it is the egress proxy that says which hosts there are, asks the person, resolves and checks: what the
agent's commands reach and what its pages come from is one thing then.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

from aish.plugins.builtin import hosts
from aish.plugins.builtin.declined import DeclinedError
from aish.plugins.builtin.page import words_of
from aish.plugins.builtin.wish import Wish, one_line
from aish.sandbox.hosts import is_public
from aish.wire import authorities

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from aish.spi.agent_adapter import Confinement

    Lookup = Callable[[str, int], Awaitable[list[str]]]

BYTES_MAX: Final = 2 << 20
TIMEOUT_S: Final = 30.0
REDIRECTS: Final = 5
_TEXTS: Final = ("text/", "application/json", "application/xml", "application/javascript", "application/x-yaml")
_SUFFIXES: Final = ("+json", "+xml")
_trusted = functools.cache(authorities.trusted)


async def looked_up(host: str, port: int) -> list[str]:
    """All addresses of a name, as the system has them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for _, _, _, _, address in found]


class _Checked(AbstractResolver):
    """Names lead to public addresses alone."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        addresses = await self._lookup(host, port)
        if not addresses or not all(map(is_public, addresses)):
            raise DeclinedError(f"{host} does not lead to a public address")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in dict.fromkeys(addresses)
        ]

    async def close(self) -> None:
        pass


class Fetch:
    """`allowed`: by the agent's file; `confinement`: its sandbox."""

    def __init__(
        self, allowed: Sequence[str], lookup: Lookup = looked_up, confinement: Confinement | None = None
    ) -> None:
        self._allowed, self._lookup = allowed, lookup
        self._proxy = confinement.proxy if confinement is not None else None
        self._offline = confinement is not None and confinement.offline

    async def fetch(self, url: str) -> str:
        """Fetch a page or file of text from the web.

        Args:
            url: Its address, http:// or https://.
        """
        trusted = await asyncio.to_thread(_trusted)
        connector = aiohttp.TCPConnector(resolver=_Checked(self._lookup), use_dns_cache=False, ssl=trusted)
        # By the proxy a person may be asked, who takes his time.
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S if self._proxy is None else None)
        try:
            async with aiohttp.ClientSession(
                connector=connector, timeout=timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
            ) as session:
                return await self._followed(session, url)
        except aiohttp.ClientHttpProxyError as error:
            raise DeclinedError(f"{one_line(url)} cannot be fetched: {one_line(error.message)}") from error
        except (aiohttp.ClientError, OSError, TimeoutError, UnicodeError, ValueError) as error:
            raise DeclinedError(f"{one_line(url)} cannot be fetched: {str(error) or type(error).__name__}") from error

    async def _followed(self, session: aiohttp.ClientSession, url: str) -> str:
        for _ in range(REDIRECTS + 1):
            async with session.get(
                self._checked(url),
                allow_redirects=False,
                headers={"Accept": "text/*, application/json"},
                proxy=self._proxy,
            ) as got:
                if got.status in (301, 302, 303, 307, 308) and "Location" in got.headers:
                    url = urljoin(url, got.headers["Location"])
                    continue
                async with asyncio.timeout(TIMEOUT_S):
                    return await _read(got)
        raise DeclinedError(f"more than {REDIRECTS} redirects")

    def _checked(self, url: str) -> yarl.URL:
        """As the client reads it: what two readers take for different hosts is asked of none."""
        host = self._host(url)
        read = yarl.URL(url)
        if (read.host or "").lower() != host.lower() or read.user is not None:
            raise DeclinedError("that is no URL")
        return read

    def _host(self, url: str) -> str:
        if self._offline:
            raise DeclinedError("the sandbox of this agent reaches no host")
        return hosts.checked(url, self._allowed, public=self._proxy is None)

    def fetch_wish(self, url: str) -> Wish:
        host = self._host(url)
        return Wish(title=f"fetch {one_line(url)}", body=url, grant=f"fetch:{host}", always=f"fetching from {host}")


async def _read(got: aiohttp.ClientResponse) -> str:
    kind = got.content_type.lower()
    if not (kind.startswith(_TEXTS) or kind.endswith(_SUFFIXES)):
        raise DeclinedError(f"it is no text, but {one_line(kind)}")
    content = bytearray()
    while len(content) <= BYTES_MAX and (piece := await got.content.read(1 << 16)):
        content += piece
    cut = len(content) > BYTES_MAX
    try:
        text = bytes(content[:BYTES_MAX]).decode(got.charset or "utf-8", "replace")
    except LookupError:
        text = bytes(content[:BYTES_MAX]).decode("utf-8", "replace")
    text = words_of(text) if "html" in kind else text
    text = f"{text}\n[cut at {BYTES_MAX:,} bytes]" if cut else text
    return text if got.status < 400 else f"[HTTP status {got.status}]\n{text}"
