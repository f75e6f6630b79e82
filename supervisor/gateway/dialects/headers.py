"""Headers of a client's request that go along to the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aish.model.dialect import ANTHROPIC, CLIENT, OPENAI
from aish.supervisor.gateway.keys import presented
from aish.wire.key import OWN_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.supervisor.gateway.routes import Server

_KNOWN: Final = {
    OPENAI: ("accept", "idempotency-key", "x-request-id", "openai-organization", "openai-project", "openai-beta"),
    ANTHROPIC: ("accept", "anthropic-version", "anthropic-beta", "idempotency-key", "x-request-id"),
}
_OURS: Final = frozenset(
    {
        *("host", "content-length", "content-type", "accept-encoding", "expect", OWN_KEY),
        # RFC 9110, 7.6.1: of one hop only
        *("connection", "keep-alive", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)


def along(given: Mapping[str, str], server: Server) -> dict[str, str]:
    """Those that the server's dialect has; of a client that is logged in itself everything that is not about this
    connection, and has not our own key."""
    if server.login != CLIENT:
        return {name: value for name in _KNOWN[server.dialect] if (value := given.get(name))}
    ours = presented(given)
    return {
        name: value for name, value in given.items() if name.lower() not in _OURS and not (ours and ours in value)
    }
