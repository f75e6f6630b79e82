"""Which `Host` of a request is ours: against DNS rebinding, where a page's own name points at this machine. Pure.

A name is admitted if it is the loopback's or one that the person has listed. An address is if we listen on it; where
we listen on all of them any is, since who asks by an address has asked no name server that could have lied.
"""

from __future__ import annotations

import functools
import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_CACHED_MOST: Final = 64


class Hosts:
    """`addresses`: where we listen, beside the loopback; `names`: what else we are called."""

    def __init__(self, addresses: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        known = [ipaddress.ip_address(address) for address in addresses]
        self._any = any(address.is_unspecified for address in known)
        self._told = {str(address) for address in known if not address.is_unspecified}
        self.call(names)

    def call(self, names: Iterable[str]) -> None:
        """The person lists these names by now."""
        self._known = self._told | {_plain(name) for name in (*LOOPBACK, *names)}
        self.admit = functools.lru_cache(_CACHED_MOST)(self._admit)
        """Whether a request with that `Host` is for us."""

    def _admit(self, host: str) -> bool:
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        bracketed = name.startswith("[") and name.endswith("]")
        if bracketed != (":" in name):
            return False  # an address of IPv6 stands in brackets, and nothing else does
        name = _plain(name[1:-1] if bracketed else name)
        return name in self._known or (self._any and _is_address(name))


def _plain(name: str) -> str:
    """In the one spelling that is compared: IPv6 has several."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


def _is_address(name: str) -> bool:
    try:
        return not ipaddress.ip_address(name).is_unspecified
    except ValueError:
        return False
