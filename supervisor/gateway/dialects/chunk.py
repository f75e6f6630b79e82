"""OpenAI's answers in parts and whole, as types: what everybody reads who does more than pass them on. Pure.

Unknown fields are left out, and whatever is not of these types is no answer. Chunks and whole answers differ in one
word only: `delta` and `message`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec

from aish.errors import UpstreamError
from aish.supervisor.gateway.dialects import odd, openai
from aish.supervisor.gateway.dialects.call import AnyObject
from aish.supervisor.gateway.dialects.openai import MOST_TOKENS

UNSEEN: Final = msgspec.Raw(b"")
NULL: Final = msgspec.Raw(b"null")


class Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct):
    index: int = 0
    id: str | None = None
    type: str | None = None
    function: Function | None = None


class Words(msgspec.Struct):
    """What the model said, or a part of it."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    """The same, as vLLM and OpenRouter call it."""
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None

    @property
    def thought(self) -> str:
        return self.reasoning_content or self.reasoning or ""


@dataclass(slots=True)
class _Begun:
    place: int
    id: str | None
    arguments: list[str] = field(default_factory=list)

    def ends_at(self, tool: ToolCall, function: Function) -> bool:
        """Whether another call begins there."""
        if not function.name:
            return False
        if tool.id and self.id:
            return tool.id != self.id
        return bool(function.arguments) and is_object("".join(self.arguments))


class Calls:
    """The calls of a stream, by the order in which they began. That is their index where a server numbers them; some
    number none, or all alike: there a name begins another one, beside another id or behind whole arguments."""

    def __init__(self) -> None:
        self._newest: dict[int, _Begun] = {}
        self.begun = 0
        """How many there are."""

    def place(self, tool: ToolCall) -> int:
        """Of the call that this piece belongs to."""
        function = tool.function or Function()
        call = self._newest.get(tool.index)
        if call is None or call.ends_at(tool, function):
            call = self._newest[tool.index] = _Begun(self.begun, tool.id)
            self.begun += 1
        call.id = call.id or tool.id
        call.arguments.append(function.arguments or "")
        return call.place


class Logprobs(msgspec.Struct):
    content: list[msgspec.Raw] | None = None


class Choice(msgspec.Struct):
    index: int = 0
    delta: Words | None = None
    message: Words | None = None
    text: str | None = None
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class Event(msgspec.Struct):
    """One event of a stream, or a whole answer."""

    id: str | None = None
    created: int | float | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    choices: list[Choice] = []
    usage: msgspec.Raw = UNSEEN
    timings: msgspec.Raw = UNSEEN
    error: msgspec.Raw = UNSEEN

    @property
    def failed(self) -> bool:
        return self.error not in (UNSEEN, NULL)


_Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]


class Usage(msgspec.Struct):
    """`prompt_tokens` has the cached ones in it, `completion_tokens` those of reasoning. What may be of any type is
    only a part of the rest, which it is not to spoil."""

    prompt_tokens: _Count
    completion_tokens: _Count = 0
    prompt_tokens_details: Any = None
    completion_tokens_details: Any = None
    prompt_cache_hit_tokens: Any = None
    """The cached ones, by DeepSeek's name; Moonshot's is the next."""
    cached_tokens: Any = None

    @property
    def cached(self) -> int:
        found = openai.cached(self.prompt_tokens_details, self.prompt_cache_hit_tokens, self.cached_tokens)
        return min(found, self.prompt_tokens)

    @property
    def reasoning(self) -> int | None:
        return openai.within(self.completion_tokens_details, "reasoning_tokens")


_event: Final = msgspec.json.Decoder(Event)
_usage: Final = msgspec.json.Decoder(Usage | None)


def read(payload: bytes, server: str) -> Event:
    """One event's data, or a whole answer, of `server`. Raises UpstreamError."""
    try:
        return _event.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        plain = odd.plain(payload)
        if plain is None:
            raise UpstreamError(f"the server of {server} sent a malformed answer: {error}") from None
    return read(plain, server)


def usage(raw: msgspec.Raw) -> Usage | None:
    """The server's figures; None where it tells none, or nonsense."""
    if raw in (UNSEEN, NULL):
        return None
    try:
        told: Usage | None = _usage.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return told


def uncut(calls: list[ToolCall], why: str | None) -> list[ToolCall]:
    """Without the last one where the output limit cut it; `why` is the finish_reason."""
    if why != "length" or not calls:
        return calls
    function = calls[-1].function or Function()
    return calls if is_object(function.arguments or "") else calls[:-1]


def is_object(arguments: str) -> bool:
    try:
        msgspec.json.decode(arguments, type=AnyObject)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return True
