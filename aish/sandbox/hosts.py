"""Hosts that a sandbox may reach by the proxy: what an entry says, which there are in any case. Pure.

example.org        that host, at the ports of the web      *.example.org   all below it, not itself
example.org:8443   that port alone                         10.0.0.5:5432, [2001:db8::1]:443   addresses
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.model.sandbox import DEV

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.wire.sandbox import SandboxPart

WEB_PORTS: Final = (443, 80)
NAME_CHARS: Final = 253
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_NAT64: Final = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
"""An IPv4 address in IPv6's clothes."""

BUILT_IN: Final = {
    # packages of Python, JavaScript, Rust, Go, Ruby, Java
    "pypi.org": "PyPI's index",
    "files.pythonhosted.org": "PyPI's files",
    "registry.npmjs.org": "npm, pnpm, yarn",
    "registry.yarnpkg.com": "yarn's name for the same",
    "crates.io": "cargo",
    "index.crates.io": "cargo's index",
    "static.crates.io": "cargo's files",
    "proxy.golang.org": "Go's modules",
    "sum.golang.org": "their checksums",
    "rubygems.org": "gem, bundler",
    "index.rubygems.org": "bundler's index",
    "repo.maven.apache.org": "Maven",
    "repo1.maven.org": "Maven's name for the same, Gradle",
    # of systems
    "deb.debian.org": "Debian",
    "security.debian.org": "Debian's updates",
    "archive.ubuntu.com": "Ubuntu",
    "security.ubuntu.com": "Ubuntu's updates",
    "dl-cdn.alpinelinux.org": "Alpine",
    # git
    "github.com": "git over HTTPS, releases",
    "codeload.github.com": "archives of repositories",
    "*.githubusercontent.com": "files of repositories and releases",
    "gitlab.com": "git over HTTPS",
    "bitbucket.org": "git over HTTPS",
    "codeberg.org": "git over HTTPS",
}
"""Of `dev`: what a build fetches from, and what it is for. Whoever has an account there can also send to it."""


class Host(NamedTuple):
    """An entry. `below`: all below the name, not itself. `port` None: those of the web."""

    name: str
    below: bool = False
    port: int | None = None

    def covers(self, name: str, port: int) -> bool:
        """`name` as `named` has it."""
        return self.has_port(port) and (name.endswith(f".{self.name}") if self.below else name == self.name)

    def has_port(self, port: int) -> bool:
        return port in WEB_PORTS if self.port is None else port == self.port


def read(text: str) -> Host:
    """An entry of a spec. Raises ValueError, which says what is wrong."""
    below = text.startswith("*.")
    name, port = split(text.removeprefix("*.") if below else text)
    try:
        ascii_name = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(f"no name of a host: {name[:80]!r}") from error
    found = named(ascii_name)
    if below and is_address(found):
        raise ValueError("an address has nothing below it")
    return Host(found, below, port)


def split(text: str) -> tuple[str, int | None]:
    """Name and port, as the authority of a URL has them; brackets of an IPv6 address are off. Raises ValueError."""
    if text.startswith("["):
        name, closed, rest = text[1:].partition("]")
        if not closed or ":" not in name or (rest and rest[0] != ":"):
            raise ValueError("no address in these brackets")
        return name, number(rest[1:]) if rest else None
    name, colon, rest = text.partition(":")
    return name, number(rest) if colon else None


def number(text: str) -> int:
    """A port. Raises ValueError."""
    if not _PORT.fullmatch(text) or not 0 < int(text) < 65536:
        raise ValueError("a port is a number from 1 to 65535")
    return int(text)


def named(name: str) -> str:
    """A host in the one way in which it is compared: small letters, no dot at its end, an address in its shortest
    form. Raises ValueError for what is none, and for numbers that some programs take for an address (0x7f.1)."""
    found = name.lower()
    if ":" in found:
        if "%" in found:
            raise ValueError("an address with a zone is of one machine")
        return str(ipaddress.IPv6Address(found))
    found = found.removesuffix(".")
    labels = found.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return str(ipaddress.IPv4Address(found))
    if len(found) > NAME_CHARS or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"no name of a host: {name[:80]!r}")
    return found


def is_address(name: str) -> bool:
    """Whether what `named` returned is an address."""
    return ":" in name or name.rpartition(".")[2].isdecimal()


def is_public(address: str) -> bool:
    """Whether it is out on the internet: not private, loopback, link-local, shared, reserved, multicast, nor one of
    these inside another."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if found.scope_id is not None or any(found in network for network in _NAT64):
            return False
    return found.is_global and not found.is_multicast


def known(part: SandboxPart) -> list[Host]:
    """All that it may reach without a question."""
    return [*readable(part.hosts), *(built_in() if part.profile == DEV else ())]


@functools.cache
def built_in() -> tuple[Host, ...]:
    return tuple(map(read, BUILT_IN))


def readable(texts: Iterable[str]) -> list[Host]:
    """What a spec says. One of an earlier release may hold what nobody looked at then: that allows nothing."""
    found = []
    for text in texts:
        with contextlib.suppress(ValueError):
            found.append(read(text))
    return found


def within(inner: Iterable[str], outer: Iterable[Host]) -> list[str]:
    """Those of `inner` that `outer` covers whole. Of a host that is only covered by one above it (`*.`) nothing is
    left: named alone, it might be an address that is not public, which only a name of its own allows."""
    outer = list(outer)
    return [text for text in inner if any(_holds(each, found) for found in readable([text]) for each in outer)]


def _holds(outer: Host, inner: Host) -> bool:
    ports = WEB_PORTS if inner.port is None else (inner.port,)
    if not all(map(outer.has_port, ports)):
        return False
    if outer.below and inner.below:
        return inner.name == outer.name or inner.name.endswith(f".{outer.name}")
    return outer.below == inner.below and outer.name == inner.name
