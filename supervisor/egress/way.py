"""The way out: directly, or through a proxy of the person's own, as networks of companies have them.

Said in config.toml ([egress] proxy, no_proxy, key_file), else by the environment as curl(1) has it (HTTPS_PROXY,
HTTP_PROXY, NO_PROXY), as for models (aish.supervisor.gateway.way). This machine is never asked through one.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from aish.config import key_file, settings
from aish.errors import AishError
from aish.sandbox import hosts
from aish.supervisor.egress.address import is_own
from aish.supervisor.egress.refused import RefusedError
from aish.supervisor.egress.request import authority

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.config.settings import Settings

KEY_BYTES: Final = 4096
_PORTS: Final = {"http": 80, "https": 443}


class Proxy(NamedTuple):
    """`key`: what is said to it in Proxy-Authorization; never shown. `url` is for people, and has none."""

    host: str
    port: int
    secure: bool
    key: str | None

    @property
    def url(self) -> str:
        return f"http{'s' if self.secure else ''}://{authority(self.host, self.port)}"


class Ways:
    """config.toml is read anew where it has changed."""

    def __init__(self, file: str | None = None, environ: Mapping[str, str] = os.environ) -> None:
        self._file, self._environ = settings.path() if file is None else file, environ
        self._known: tuple[tuple[int, int, int] | None, Settings] | None = None

    def to(self, host: str, port: int, *, secure: bool) -> Proxy | None:
        """`secure`: a tunnel; else plain HTTP. None: directly. Raises RefusedError where what is said of it is wrong:
        who has a proxy is not to be left without it by a slip."""
        try:
            said = self._said()
            if is_here(host):
                return None
            if said.egress_proxy is not None:
                url, direct = said.egress_proxy, said.egress_no_proxy
            else:
                url, direct = (self._variable(word) for word in ("https" if secure else "http", "no"))
            if not url or is_direct(direct, host, port):
                return None
            return read(url, None if said.egress_key_file is None else _key(said.egress_key_file))
        except (AishError, OSError) as error:
            raise RefusedError(502, f"the proxy on the way out: {error}") from error

    def _variable(self, word: str) -> str:
        """Small letters go before capitals."""
        return self._environ.get(f"{word}_proxy") or self._environ.get(f"{word}_proxy".upper()) or ""

    def _said(self) -> Settings:
        """Raises SourceError."""
        try:
            status = os.stat(self._file)
            stamp = status.st_mtime_ns, status.st_size, status.st_ino
        except OSError:
            stamp = None
        if self._known is None or self._known[0] != stamp:
            self._known = stamp, settings.load(self._file)
        return self._known[1]


def is_here(host: str) -> bool:
    """Whether it is an address that no proxy out there is asked for: of this machine, or of its network."""
    if hosts.is_address(host):
        return not hosts.is_public(host) or is_own(host)
    return host == "localhost" or host.endswith(".localhost")


def is_direct(no_proxy: str, host: str, port: int) -> bool:
    """Whether NO_PROXY's list has it: names stand for themselves and all below them, "*" for all."""
    for word in no_proxy.lower().split(","):
        name = word.strip().removeprefix("*.").removeprefix(".")
        if name == "*" or name in (host, authority(host, None), authority(host, port)):
            return True
        if name and not hosts.is_address(host) and f"{host}:{port}".endswith((f".{name}:{port}", f".{name}")):
            return True
    return False


def read(url: str, key: str | None) -> Proxy | None:
    """A proxy by its URL, whose user and password are its key where there is no other. None: SOCKS, which is not
    spoken. Raises OSError."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise OSError(f"its URL cannot be read: {error}") from None
    if parts.scheme not in _PORTS:
        return None
    if not parts.hostname:
        raise OSError("its URL has no host")
    if key is None and parts.username is not None:
        key = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    said = None if key is None else f"Basic {base64.b64encode(key.encode()).decode()}"
    return Proxy(parts.hostname, port, parts.scheme == "https", said)


def _key(path: str) -> str:
    """Raises AishError, OSError; neither has anything of it."""
    with open(key_file.checked(path), "rb") as file:
        line = file.readline(KEY_BYTES).strip()
    try:
        found = line.decode()
    except UnicodeDecodeError:
        raise OSError(f"{path} is not UTF-8 text") from None
    if ":" not in found or not found.isprintable():
        raise OSError(f"{path} does not begin with USER:PASSWORD")
    return found
