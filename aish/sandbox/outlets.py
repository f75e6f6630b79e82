"""Where a sandbox's doors are, and the variables by which its programs find the proxy. Pure.

curl, git, pip, requests and Go read them in small letters, in capitals or in both.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from aish.model.sandbox import GATEWAY, PROXY
from aish.sandbox import hosts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.model.sandbox import Door

_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_DIRECT: Final = ("127.0.0.1", "localhost", "::1")
_FOREIGN: Final = frozenset(
    os.fsencode(word)
    for name in (*_VARIABLES, "NO_PROXY", "FTP_PROXY", "SOCKS_PROXY")
    for word in (name, name.lower())
)
"""What may be in its environment already: a proxy of the user's, which is out of reach."""


class Outlets(NamedTuple):
    """`gateway_url`: what its programs are told, in every tier. `word`: for who has no network of its own, by which
    the proxy knows it. `channel`: the descriptor by which a network of its own tells of its doors."""

    gateway_url: str
    proxy_port: int = 0
    word: str = ""
    channel: int | None = None

    @property
    def ports(self) -> dict[Door, int]:
        return {GATEWAY: urlsplit(self.gateway_url).port or 0, PROXY: self.proxy_port}

    def proxy_url(self, id_: str) -> str:
        user = f"{id_}:{self.word}@" if self.word else ""
        return f"http://{user}127.0.0.1:{self.proxy_port}"


def environ(env: Sequence[bytes], doors: Sequence[Door], outlets: Outlets, named: Sequence[str]) -> list[bytes]:
    """`env` of a program whose network is its own. `named`: hosts of its spec; a `localhost` there is the machine's,
    and asked for by the proxy."""
    kept = [entry for entry in env if entry.partition(b"=")[0] not in _FOREIGN]
    if PROXY not in doors:
        return kept
    id_ = next((os.fsdecode(entry[8:]) for entry in env if entry.startswith(b"AISH_ID=")), "")
    asked = {host.name for host in hosts.readable(named)}
    direct = ",".join(name for name in _DIRECT if name == "127.0.0.1" or name not in asked)
    said = {name: outlets.proxy_url(id_) for name in _VARIABLES} | {"NO_PROXY": direct}
    told = [f"{word}={value}" for name, value in said.items() for word in (name, name.lower())]
    # Node's own fetch looks at them where it is told to.
    return [*kept, *map(os.fsencode, told), b"NODE_USE_ENV_PROXY=1"]
