"""What an Anthropic server answers, as types: a message, and the events of a stream. Pure.

Source: platform.claude.com/docs/en/api/messages-streaming. What is not known here is left out; new kinds of events,
blocks and deltas may come at any time.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from aish.errors import UpstreamError
from aish.supervisor.gateway.dialects.openai import MOST_TOKENS
from aish.supervisor.gateway.meter import Used

_NONE: Final = msgspec.Raw(b"null")
_Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]


class _OutputDetails(msgspec.Struct):
    thinking_tokens: _Count | None = None


class _Creation(msgspec.Struct):
    """For how long what was written to a cache is kept."""

    ephemeral_1h_input_tokens: _Count | None = None


class _ServerTools(msgspec.Struct):
    web_search_requests: _Count | None = None


class Usage(msgspec.Struct):
    """Cumulative. What was read from a cache or written to one is not in `input_tokens`."""

    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    output_tokens_details: _OutputDetails | None = None
    cache_creation: _Creation | None = None
    server_tool_use: _ServerTools | None = None

    def after(self, start: Usage | None) -> Usage:
        """With what was told at the start where nothing is told now."""
        if start is None:
            return self
        names = self.__struct_fields__
        told = {name: getattr(self, name) for name in names}
        return Usage(**{name: getattr(start, name) if told[name] is None else told[name] for name in names})

    @property
    def prompt(self) -> int:
        return sum(
            part or 0 for part in (self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens)
        )

    def used(self) -> Used | None:
        """None where the input or the output is not told."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        details = self.output_tokens_details or _OutputDetails()
        written = self.cache_creation_input_tokens or 0
        return Used(
            self.prompt,
            self.output_tokens,
            cached=self.cache_read_input_tokens or 0,
            written=written,
            reasoning=details.thinking_tokens or 0,
            written_1h=min(written, (self.cache_creation or _Creation()).ephemeral_1h_input_tokens or 0),
            searches=(self.server_tool_use or _ServerTools()).web_search_requests or 0,
        )


class Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _NONE


class Message(msgspec.Struct):
    type: str = ""
    id: str | None = None
    model: str | None = None
    content: list[Block] | None = None
    stop_reason: str | None = None
    usage: msgspec.Raw = _NONE


class Delta(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class Event(msgspec.Struct):
    type: str = ""
    message: Message | None = None
    index: int = 0
    content_block: Block | None = None
    delta: Delta | None = None
    usage: msgspec.Raw = _NONE


_message: Final = msgspec.json.Decoder(Message)
_event: Final = msgspec.json.Decoder(Event)
_usage: Final = msgspec.json.Decoder(Usage | None)


def message(body: bytes, server: str) -> Message:
    """Raises UpstreamError."""
    try:
        return _message.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UpstreamError(f"the server of {server} sent a malformed reply: {error}") from None


def event(payload: bytes, server: str) -> Event:
    """Raises UpstreamError."""
    try:
        return _event.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UpstreamError(f"the server of {server} sent a malformed stream: {error}") from None


def usage(raw: msgspec.Raw) -> Usage | None:
    """None where the server tells none, or nonsense."""
    try:
        told: Usage | None = _usage.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return told
