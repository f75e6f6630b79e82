"""Which addresses may be fetched: hosts that the agent's file names, out on the internet. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aish.plugins.builtin.declined import DeclinedError
from aish.sandbox.hosts import is_public

if TYPE_CHECKING:
    from collections.abc import Sequence

URL_CHARS: Final = 4096
_PORTS: Final = {"http": 80, "https": 443}


def checked(url: str, allowed: Sequence[str], *, public: bool = True) -> str:
    """The host of a URL that may be asked; `public`: an address has to be one out on the internet. Raises
    DeclinedError."""
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
    if public and _is_address(host) and not is_public(host):
        raise DeclinedError(f"{host} is not a public address")
    return host


def host_allowed(host: str, allowed: Sequence[str]) -> bool:
    """By whole labels: "*.example.org" is what is below example.org, not notexample.org and not itself."""
    host = host.rstrip(".").lower()
    for pattern in allowed:
        if pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:])):
            return True
    return False


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
