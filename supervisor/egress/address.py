"""From a name to a connection: resolved once, checked, and connected to the very address that was checked."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from aish.sandbox.hosts import is_public
from aish.supervisor.egress.refused import RefusedError

RESOLVE_S: Final = 15.0
CONNECT_S: Final = 15.0
TRIED_MOST: Final = 4
STREAM_BYTES: Final = 64 << 10
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(host: str, port: int, *, anywhere: bool) -> Streams:
    """`anywhere`: also to addresses that are not public. Raises RefusedError."""
    found = await resolved(host, port)
    allowed = [address for address in found if anywhere or (is_public(address) and not is_own(address))]
    if not allowed:
        raise RefusedError(
            403,
            f"{host} is {found[0]}, which is not a public address"
            f" (a spec allows it by this very name: hosts = [{host!r}])",
        )
    why = ""
    for address in allowed[:TRIED_MOST]:
        try:
            async with asyncio.timeout(CONNECT_S):
                return await asyncio.open_connection(address, port, limit=STREAM_BYTES)
        except TimeoutError:
            why = f"it does not answer within {CONNECT_S:.0f} s"
        except OSError as error:
            why = error.strerror or str(error)
    raise RefusedError(502, f"{host}:{port} cannot be reached: {why}")


async def resolved(host: str, port: int) -> list[str]:
    """Its addresses, in the order in which to try them. Raises RefusedError."""
    try:
        async with asyncio.timeout(RESOLVE_S):
            infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise RefusedError(504, f"{host} is not resolved within {RESOLVE_S:.0f} s") from None
    except (OSError, UnicodeError) as error:
        raise RefusedError(502, f"{host} is not known: {error}") from None
    return list(dict.fromkeys(str(info[4][0]) for info in infos)) or _nothing(host)


def _nothing(host: str) -> list[str]:
    raise RefusedError(502, f"{host} has no address")


def is_own(address: str) -> bool:
    """Whether this machine has it: its services are not out on the internet, whatever their address is."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
