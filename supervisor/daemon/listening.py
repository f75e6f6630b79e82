"""Where a system child listens: on this machine's loopback always, and at one address more if told. Effects: sockets.

The loopback is covered by the first socket, so that what runs here is told the same address whatever the person has
said for other machines.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOPBACK: Final = "127.0.0.1"
_EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104  what a person may have said
BACKLOG: Final = 256


def addresses(told: str) -> list[str]:
    """Those that are bound, the one that covers 127.0.0.1 first. `::` is both families', a socket each. Pure."""
    first = _EVERYWHERE[0] if told in _EVERYWHERE else LOOPBACK
    return list(dict.fromkeys((first, told)))


def listen(address: str, port: int) -> socket.socket:
    """Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def where(listeners: Sequence[socket.socket]) -> list[str]:
    """The addresses of these, without the port."""
    return [str(sock.getsockname()[0]) for sock in listeners]


def beyond(found: Sequence[str]) -> list[str]:
    """Those by which other machines may get here. Pure."""
    return [address for address in found if not ipaddress.ip_address(address).is_loopback]
