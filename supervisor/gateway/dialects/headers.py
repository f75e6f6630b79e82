"""Headers of a client's request that go along to the server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from multidict import istr

from aish.model import key_form
from aish.model.client_environ import OWN_KEY
from aish.model.dialect import ANTHROPIC, CLIENT, OPENAI
from aish.supervisor.gateway.keys import presented

if TYPE_CHECKING:
    from multidict import MultiMapping

    from aish.supervisor.gateway.routes import Server

_KNOWN: Final = {
    OPENAI: ("accept", "idempotency-key", "x-request-id", "openai-organization", "openai-project", "openai-beta"),
    ANTHROPIC: ("accept", "anthropic-version", "anthropic-beta", "idempotency-key", "x-request-id"),
}
_LOOKED_UP: Final = {dialect: tuple(map(istr, names)) for dialect, names in _KNOWN.items()}
NO_FALLBACK: Final = "x-aish-no-fallback"
"""1: the client wants this model or an error."""
_OURS: Final = frozenset(
    {
        *("host", "content-length", "content-type", "content-encoding", "accept-encoding", "expect", OWN_KEY),
        NO_FALLBACK,
        # RFC 9110, 7.6.1: of one hop only
        *("connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    }
)
_KEY: Final = re.compile(key_form.ANY)
_IN_EACH_KEY: Final = "aish-"


def along(given: MultiMapping[str], server: Server) -> dict[str, str]:
    """Those that the server's dialect has; of a client that is logged in itself everything that is not about this
    connection or the form of the body, and has no key of ours: neither the one that counts nor another, such as one
    that `aish env` told its shell."""
    if server.login != CLIENT:
        return {
            name: value for name in _LOOKED_UP[server.dialect] if name in given and (value := _joined(given, name))
        }
    ours = presented(given)
    hop = {word.strip().lower() for value in given.getall("connection", ()) for word in value.split(",")}
    names = {name.lower(): name for name in given}
    found = {name: _joined(given, low) for low, name in names.items() if low not in _OURS and low not in hop}
    return {
        name: value
        for name, value in found.items()
        if not (ours and ours in value) and not (_IN_EACH_KEY in value and _KEY.search(value))
    }


def _joined(given: MultiMapping[str], name: str) -> str:
    """RFC 9110, 5.3: a field that comes several times is one list."""
    return ", ".join(given.getall(name, ()))
