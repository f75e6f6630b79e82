"""What an observer is told of a settled request: figures and names, never its words and never a key."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aish.model.dialect import ANTHROPIC
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.routes import LLAMACPP

if TYPE_CHECKING:
    from aish.supervisor.gateway.routes import Server
    from aish.supervisor.gateway.settling import Exchange

ASKED: Final = "AISH_OTEL"
"""The variable by which the user asks for OpenTelemetry; where to is said by the standard's own, OTEL_*."""
_YES: Final = ("1", "true", "yes", "on")
_CONVERSATIONS: Final = ("x-claude-code-session-id",)
"""Headers by which clients tell which conversation a request is of."""
_MOST_CHARS: Final = 512
_OPERATIONS: Final = {openai.COMPLETIONS: "text_completion", openai.EMBEDDINGS: "embeddings"}


@dataclass(slots=True, frozen=True)
class Observed:
    """One request. Times in seconds, `began_s` since 1970; None: not known, or there was none."""

    operation: str
    provider: str
    asked: str
    """The model's name as the client said it."""
    model: str | None
    """As its server knows it."""
    began_s: float
    waited_s: float
    """Until it was sent to the server."""
    seconds: float
    """From then on."""
    first_token_s: float | None
    input: int
    output: int
    cached: int
    written: int
    reasoning: int
    estimated: bool
    status: int
    agent_id: str
    agent_name: str | None
    conversation: str | None
    trace: dict[str, str]
    """The client's own headers of W3C's trace context."""


Observer = Callable[[Observed], None]


def asked(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the user wants requests to be observed."""
    return (os.environ if environ is None else environ).get(ASKED, "").lower() in _YES


def of(exchange: Exchange) -> Observed:
    """Of one that is settled."""
    row, call, server, headers = exchange.row, exchange.call, exchange.server, exchange.request.headers
    conversation = next((headers[name] for name in _CONVERSATIONS if name in headers), None)
    return Observed(
        operation=_OPERATIONS.get(call.endpoint if call is not None else "", "chat"),
        provider="aish" if server is None else _provider(server),
        asked=exchange.asked or row.model,
        model=None if server is None or call is None else server.known_as(call.model),
        began_s=row.time_s,
        waited_s=0.0 if exchange.sent_s is None else max(0.0, exchange.sent_s - exchange.began_s),
        seconds=row.seconds or 0.0,
        first_token_s=row.first_token_s,
        input=row.input,
        output=row.output,
        cached=row.cached,
        written=row.written,
        reasoning=row.reasoning,
        estimated=row.estimated,
        status=row.status or 0,
        agent_id=row.process,
        agent_name=row.agent or row.name,
        conversation=conversation[:_MOST_CHARS] if conversation else None,
        trace={
            name: headers[name]
            for name in ("traceparent", "tracestate")
            if name in headers and len(headers[name]) <= _MOST_CHARS
        },
    )


def _provider(server: Server) -> str:
    """By the names that OpenTelemetry has for some."""
    if server.engine == LLAMACPP:
        return LLAMACPP
    if server.dialect == ANTHROPIC:
        return "anthropic"
    return "azure.ai.openai" if ".openai.azure.com" in server.url else "openai"
