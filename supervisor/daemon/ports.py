"""Free loopback ports, leased to processes whose command line says {port}."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import msgspec

from aish.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.supervisor.daemon.row import Row
    from aish.wire.spec import RoutePart, SpecPart

PLACE = "{port}"
_TRIES = 20


class Ports:
    """What is leased. Another program may still take a leased port before the process binds it: it then fails."""

    def __init__(self) -> None:
        self._leased: set[int] = set()

    def lease(self, before: int | None = None) -> int:
        """A free port, `before` if it is still free. Raises UnavailableError."""
        for wanted in (before or 0, *([0] * _TRIES)):
            port = free_port(wanted)
            if port is not None and port not in self._leased:
                self._leased.add(port)
                return port
        raise UnavailableError("no free port on 127.0.0.1")

    def keep(self, port: int) -> None:
        """Leased before this daemon began."""
        self._leased.add(port)

    def release(self, port: int) -> None:
        self._leased.discard(port)


def free_port(wanted: int = 0) -> int | None:
    """`wanted` if nobody has it, any free one for 0; None if it is taken."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", wanted))
        except OSError:
            return None
        return int(sock.getsockname()[1])


def wants_port(spec: SpecPart) -> bool:
    return (
        any(PLACE.encode() in word for word in spec.argv)
        or (spec.route is not None and PLACE in spec.route.url)
        or listens_on_it(spec)
    )


def listens_on_it(spec: SpecPart) -> bool:
    """Whether a socket that is kept between its runs has the leased port: it is leased as long, then."""
    return any(PLACE in part.address for part in spec.sockets)


def route(row: Row) -> RoutePart | None:
    """Where the gateway finds it, with the leased port in place."""
    route = row.spec.route
    if route is None or row.port is None:
        return route
    return msgspec.structs.replace(route, url=route.url.replace(PLACE, str(row.port)))


def fill(argv: Sequence[bytes], port: int | None) -> list[bytes]:
    """argv with the leased port in place."""
    if port is None:
        return list(argv)
    return [word.replace(PLACE.encode(), str(port).encode()) for word in argv]
