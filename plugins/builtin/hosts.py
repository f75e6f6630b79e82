"""Which addresses may be fetched: hosts that the agent's file names, out on the internet. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aish.plugins.builtin.declined import DeclinedError

if TYPE_CHECKING:
    from collections.abc import Sequence

URL_CHARS: Final = 4096
_PORTS: Final = {"http": 80, "https": 443}
_INSIDE: Final = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
"""NAT64: an IPv4 address in IPv6's clothes."""


def checked(url: str, allowed: Sequence[str]) -> str:
    """The host of a URL that may be asked. Raises DeclinedError."""
    if len(url) > URL_CHARS or any(c.isspace() or not c.isprintable() for c in url):
        raise DeclinedError("that is no URL")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise DeclinedError(f"that is no URL: {error}") from error
    if parts.scheme not in _PORTS or not host:
        raise DeclinedError("only http:// and https:// are fetched")
    if parts.username is not None or parts.password is not None:
        raise DeclinedError("a URL with a password in it is not fetched")
    if port not in (None, _PORTS[parts.scheme]):
        raise DeclinedError(f"port {port} is not fetched, only that of {parts.scheme}")
    if not host_allowed(host, allowed):
        raise DeclinedError(f"{host} is not among the hosts of this agent: {', '.join(allowed) or 'there are none'}")
    literal = _address(host)
    if literal is not None and not is_public(host):
        raise DeclinedError(f"{host} is not a public address")
    return host


def host_allowed(host: str, allowed: Sequence[str]) -> bool:
    """By whole labels: "*.example.org" is what is below example.org, not notexample.org and not itself."""
    host = host.rstrip(".").lower()
    for pattern in allowed:
        if pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:])):
            return True
    return False


def is_public(address: str) -> bool:
    """Whether an IP address is out on the internet: not private, loopback, link-local, shared, reserved, multicast,
    nor one of these inside another."""
    found = _address(address)
    if found is None:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if any(found in network for network in _INSIDE):
            return False
    return found.is_global and not found.is_multicast


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
