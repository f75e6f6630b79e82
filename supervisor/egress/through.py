"""Out through a proxy of the person's own: a tunnel by CONNECT, or plain HTTP by a whole URL.

Names are resolved there: whether they lead inside, nobody can check here.
"""

from __future__ import annotations

import asyncio
import functools
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.supervisor.egress import request
from aish.supervisor.egress.address import CONNECT_S, STREAM_BYTES
from aish.supervisor.egress.refused import RefusedError
from aish.wire import authorities

if TYPE_CHECKING:
    from aish.supervisor.egress.address import Streams
    from aish.supervisor.egress.request import Wanted
    from aish.supervisor.egress.way import Proxy

ANSWER_S: Final = 30.0
"""It resolves and connects meanwhile."""
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([\t -~]*))?")
_REASON_CHARS: Final = 80


class Opened(NamedTuple):
    """`head` is what is said first. `answer_only`: nothing that the client says later goes there."""

    streams: Streams
    head: bytes
    answer_only: bool


async def connect(proxy: Proxy, wanted: Wanted) -> Opened:
    """Plain HTTP without a body is asked for by its URL, since many proxies let no CONNECT through but to 443. What
    follows such a request is kept from it: it would be read as another one, to whichever host that names. Raises
    RefusedError."""
    streams = await _reached(proxy)
    if wanted.head is not None and not wanted.more:
        return Opened(streams, by_url(wanted, proxy.key), answer_only=True)
    try:
        streams[1].write(by_connect(wanted, proxy.key))
        async with asyncio.timeout(ANSWER_S):
            answer = await streams[0].readuntil(request.END)
        check(answer, proxy)
    except TimeoutError:
        raise _refused(streams, f"the proxy {proxy.url} does not answer within {ANSWER_S:.0f} s", 504) from None
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise _refused(streams, f"the proxy {proxy.url} has broken off before its answer") from None
    except BaseException:
        streams[1].transport.abort()
        raise
    return Opened(streams, wanted.head or b"", answer_only=False)


def by_connect(wanted: Wanted, key: str | None) -> bytes:
    """Pure."""
    place = request.authority(wanted.host, wanted.port)
    return f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{_known(key)}\r\n".encode()


def by_url(wanted: Wanted, key: str | None) -> bytes:
    """Its head as a proxy takes it. Pure."""
    assert wanted.head is not None
    line, _, rest = wanted.head.partition(b"\r\n")
    method, _, path = line.partition(b" ")
    place = request.authority(wanted.host, None if wanted.port == 80 else wanted.port)
    return b"%b http://%b%b\r\n%b%b" % (method, place.encode(), path, _known(key).encode(), rest)


def _known(key: str | None) -> str:
    return "" if key is None else f"Proxy-Authorization: {key}\r\n"


def check(answer: bytes, proxy: Proxy) -> None:
    """Pure. Raises RefusedError: 502 also for a 407, which is ours to answer and not the client's."""
    status = _STATUS.match(answer)
    if status is None:
        raise RefusedError(502, f"the proxy {proxy.url} answers something else than HTTP")
    if status[1] == b"407":
        lacks = "knows no such user and password" if proxy.key else "wants a user and a password"
        raise RefusedError(502, f"the proxy {proxy.url} {lacks}: key_file of [egress], in config.toml")
    if not status[1].startswith(b"2"):
        said = f"{status[1].decode()} {(status[2] or b'').decode()[:_REASON_CHARS]}".strip()
        raise RefusedError(502, f"the proxy {proxy.url} does not let it through: {said}")


_trusted = functools.cache(authorities.trusted)
"""Made once: it would hold up every tunnel."""


async def _reached(proxy: Proxy) -> Streams:
    """Raises RefusedError."""
    try:
        async with asyncio.timeout(CONNECT_S):
            secure = _trusted() if proxy.secure else None
            return await asyncio.open_connection(proxy.host, proxy.port, limit=STREAM_BYTES, ssl=secure)
    except TimeoutError:
        why = f"it does not answer within {CONNECT_S:.0f} s"
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
    raise RefusedError(502, f"the proxy {proxy.url} cannot be reached: {why}")


def _refused(streams: Streams, why: str, status: int = 502) -> RefusedError:
    streams[1].transport.abort()
    return RefusedError(status, why)
