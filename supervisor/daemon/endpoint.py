"""Where a socket listens: HOST:PORT or unix:/PATH, read into what bind(2) takes. Pure."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.errors import InputError
from aish.supervisor.daemon.ports import PLACE

if TYPE_CHECKING:
    from aish.wire.spec import SocketPart

PATH_BYTES: Final = 107
_HOST_PORT: Final = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]+):(\d{1,5})")
_KINDS: Final = {"stream": socket.SOCK_STREAM, "datagram": socket.SOCK_DGRAM}


class Endpoint(NamedTuple):
    family: socket.AddressFamily
    kind: socket.SocketKind
    place: tuple[str, int] | bytes
    """What bind(2) takes: (host, port), or a path."""


def read(part: SocketPart, port: int | None) -> Endpoint:
    """`port` is the leased one. A host is an address or `localhost`: a name may mean another one tomorrow.

    Raises InputError.
    """
    text = part.address if port is None else part.address.replace(PLACE, str(port))
    kind = _KINDS[part.kind]
    if text.startswith("unix:"):
        path = os.fsencode(text.removeprefix("unix:"))
        if not path.startswith(b"/") or b"\0" in path or path.endswith(b"/"):
            raise InputError("expected unix:/PATH, absolute", field="sockets")
        if len(path) > PATH_BYTES:
            raise InputError(f"a socket's path has at most {PATH_BYTES} bytes", field="sockets")
        return Endpoint(socket.AF_UNIX, kind, path)
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        raise InputError(
            f"not an address: {text[:80]!r}", field="sockets", hint="127.0.0.1:8080, [::1]:8080 or unix:/PATH"
        )
    host, number = found[1].strip("[]"), int(found[2])
    try:
        ip = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise InputError(
            f"{host[:80]!r} is no address", field="sockets", hint="write the number, or localhost"
        ) from None
    if not 1 <= number <= 65535:
        raise InputError("expected a port from 1 to 65535, or {port} for a leased one", field="sockets")
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    return Endpoint(family, kind, (str(ip), number))


def told(endpoint: Endpoint) -> str:
    """As people write it."""
    if isinstance(endpoint.place, bytes):
        return f"unix:{os.fsdecode(endpoint.place)}"
    host, port = endpoint.place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def clash(one: Endpoint, other: Endpoint) -> bool:
    """Whether both cannot be had at once, as far as an address for all interfaces goes."""
    if isinstance(one.place, bytes) or isinstance(other.place, bytes):
        return one.place == other.place
    return one.kind == other.kind and one.place[1] == other.place[1]
