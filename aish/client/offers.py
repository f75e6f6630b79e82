"""Models that this machine has beside ours: a running Ollama, a provider's key. Offered, never taken silently."""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from aish.report import clean

if TYPE_CHECKING:
    from collections.abc import Collection

_OLLAMA: Final = "127.0.0.1:11434"
_ANSWER_S: Final = 0.3
_ANSWER_BYTES: Final = 4096
_PROVIDERS: Final = {
    "OPENAI_API_KEY": ("openai", "https://api.openai.com/v1"),
    "ANTHROPIC_API_KEY": ("anthropic", "https://api.anthropic.com/v1"),
}
_OURS: Final = ("aish-", "sk-aish-")
"""How keys of the gateway begin: `eval "$(aish env)"` sets one under a provider's name."""


class Offer(NamedTuple):
    what: str
    command: str


def offers(names: Collection[str] = ()) -> list[Offer]:
    """What could be used, and the very command that would. `names`: models that run; those are used already."""
    found = []
    place = ollama_place(os.environ.get("OLLAMA_HOST", ""))
    if "ollama" not in names and place is not None and _answers(*place):
        host, port = place
        address = f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"
        found.append(Offer("Ollama runs here", f"aish model serve ollama --url {address} --upstream-name NAME"))
    for variable, (name, url) in _PROVIDERS.items():
        if name not in names and is_provider_s(os.environ.get(variable, "")):
            file = f"~/.{name}.key"
            keep = f"(umask 077; printenv {variable} > {file})"
            serve = f"aish model serve {name} --url {url} --key-file {file} --upstream-name NAME"
            found.append(Offer(f"{variable} is set", f"{keep}; {serve}"))
    return found


def lines(names: Collection[str] = ()) -> list[str]:
    return [f"{offer.what}; to use it: {offer.command}" for offer in offers(names)]


def tell(names: Collection[str] = ()) -> None:
    """On stderr, one line each."""
    for line in lines(names):
        print(clean(f"aish: {line}"), file=sys.stderr, flush=True)


def ollama_place(setting: str) -> tuple[str, int] | None:
    """Host and port by OLLAMA_HOST, as Ollama reads it; None where that is not this machine: nobody else is asked."""
    try:
        parts = urlsplit(setting if "://" in setting else f"//{setting or _OLLAMA}")
        host, port = parts.hostname or "127.0.0.1", parts.port or 11434
    except ValueError:
        return None  # no address at all
    if host == "localhost":
        return "127.0.0.1", port
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None  # a name, of whomever
    if address.is_unspecified:  # where it listens: everywhere, here too
        return ("127.0.0.1" if address.version == 4 else "::1"), port
    return (str(address), port) if address.is_loopback else None


def is_provider_s(key: str) -> bool:
    return bool(key) and not key.startswith(_OURS)


def _answers(host: str, port: int) -> bool:
    import http.client  # loads the mail parser: not for who only stops a model

    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_S)
    try:
        connection.request("GET", "/api/version")
        answer = connection.getresponse()
        return answer.status == 200 and b'"version"' in answer.read(_ANSWER_BYTES)
    except (OSError, http.client.HTTPException):
        return False  # nothing listens, or something else
    finally:
        connection.close()
