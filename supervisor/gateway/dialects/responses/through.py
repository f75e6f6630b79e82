"""A request for a response on its way to a server that gives some: OpenAI's own. Bytes pass as they are. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from aish.errors import UpstreamError
from aish.supervisor.gateway.dialects import openai, sse
from aish.supervisor.gateway.dialects.responses import output
from aish.supervisor.gateway.dialects.unchanged import Passing
from aish.supervisor.gateway.meter import Used

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call

_TEXT: Final = re.compile(rb'"delta":\s*"((?:[^"\\]++|\\.)++)"')
_LAST: Final = (b'"response.completed"', b'"response.incomplete"', b'"response.failed"')
_NULL: Final = msgspec.Raw(b"null")
_Count = Annotated[int, msgspec.Meta(ge=0, le=openai.MOST_TOKENS)]

_encode: Final = msgspec.json.Encoder().encode


class _Read(msgspec.Struct):
    cached_tokens: _Count = 0


class _Made(msgspec.Struct):
    reasoning_tokens: _Count = 0


class _Usage(msgspec.Struct):
    input_tokens: _Count
    output_tokens: _Count
    input_tokens_details: _Read | None = None
    output_tokens_details: _Made | None = None


class _Conversation(msgspec.Struct):
    id: str


class _Response(msgspec.Struct):
    id: str | None = None
    conversation: _Conversation | str | None = None
    model: str | None = None
    usage: msgspec.Raw = _NULL
    output: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL

    @property
    def stored(self) -> tuple[str, ...]:
        """The ids by which others may go on from it."""
        told = self.conversation
        conversation = told.id if isinstance(told, _Conversation) else told
        return tuple(id for id in (self.id, conversation) if id)


class _Event(msgspec.Struct):
    type: str = ""
    response: _Response | None = None


class _Begun(msgspec.Struct):
    sequence_number: int = -1
    response: dict[str, msgspec.Raw] | None = None


_response: Final = msgspec.json.Decoder(_Response)
_event: Final = msgspec.json.Decoder(_Event)
_begun: Final = msgspec.json.Decoder(_Begun)
_usage: Final = msgspec.json.Decoder(_Usage | None)


def body(call: Call, upstream_name: str | None, limit: int | None) -> bytes:
    """`limit`: the output tokens that were granted; None leaves the request's own."""
    fields = dict(call.fields)
    if upstream_name is not None:
        fields["model"] = msgspec.Raw(_encode(upstream_name))
    if limit is not None:
        fields["max_output_tokens"] = msgspec.Raw(_encode(limit))
    return _encode(fields)


def read(reply: bytes, server: str) -> openai.Read:
    """Raises UpstreamError."""
    try:
        found = _response.decode(reply)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UpstreamError(f"the server of {server} sent a malformed reply: {error}") from None
    empty = found.output == _NULL
    failed = empty and found.error != _NULL
    return openai.Read(found.model, _used(found.usage), None, failed, empty, found.stored)


def _used(raw: msgspec.Raw) -> Used | None:
    try:
        told: _Usage | None = _usage.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if told is None:
        return None
    cached = told.input_tokens_details.cached_tokens if told.input_tokens_details is not None else 0
    reasoning = told.output_tokens_details.reasoning_tokens if told.output_tokens_details is not None else 0
    return Used(told.input_tokens, told.output_tokens, cached=cached, reasoning=reasoning)


class Relay(sse.Frames):
    """A stream that passes. Its first event has the model's name, its last the usage."""

    def __init__(self, asked: str) -> None:
        super().__init__(asked)
        self._told: str | None = None

    def _is_last(self, event: bytes) -> bool:
        return any(kind in event for kind in _LAST)

    def _event(self, event: bytes) -> bytes:
        event = event.lstrip(b"\n")
        data = sse.payload(event) if event else None
        if data is None:
            return sse.awake(event) if event else b""
        if data == sse.DONE:
            return event + b"\n\n"
        self._checked(data)
        self.begun = True
        if b'"response":' in data[:256]:
            self._look(data)
        elif b'"error"' in data[:64]:
            self.error = _error(data)
        text_bytes = sum(map(len, _TEXT.findall(data)))
        if text_bytes:
            self.count.count(text_bytes)
        if self._told and self._told != self._asked and b'"model"' in data:
            event = sse.renamed(event, data, self._told, self._asked, "response")
        return event + b"\n\n"

    def _look(self, data: bytes) -> None:
        try:
            told = _event.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise self._malformed(str(error)) from None
        if told.response is None:
            return
        self._told = self._told or told.response.model
        self.stored = told.response.stored or self.stored
        self.used = _used(told.response.usage) or self.used
        match told.type:
            case "response.completed" | "response.incomplete":
                self.done = True
            case "response.failed":
                self.done, self.error = True, b'{"error":' + bytes(told.response.error) + b"}"
            case _:
                pass


class Passed(Passing):
    """A Writer: what passes has its shape already; an error of ours goes on from what has passed."""

    def __init__(self, call: Call, asked: str, created: int) -> None:
        self._call, self._asked, self._created = call, asked, created
        self._first = self._last = b""
        """Of what was written; each ends with a whole event."""

    def feed(self, events: bytes) -> bytes:
        self._first = self._first or events
        self._last = events or self._last
        return events

    def error(self, body: bytes) -> bytes:
        first = _told(self._first.partition(b"\n\n")[0])
        last = _told(self._last.rstrip(b"\n").rpartition(b"\n\n")[2])
        begun: output.Fields = dict(first.response or {})
        begun = begun or output.response(self._call, output.made_id("resp"), self._asked, self._created)
        return b"".join(output.failure(begun, last.sequence_number + 1, body))


def _told(event: bytes) -> _Begun:
    try:
        return _begun.decode(sse.payload(event) or b"{}")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _Begun()


class _Failed(msgspec.Struct):
    error: msgspec.Raw = _NULL
    message: str = "the server told an error without a word"
    code: str | None = None


def _error(event: bytes) -> bytes:
    """An error that is an event of its own, in the shape that those in a reply have: its fields are at the top."""
    try:
        told = msgspec.json.decode(event, type=_Failed)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        told = _Failed()
    return event if told.error != _NULL else _encode({"error": {"message": told.message, "code": told.code}})
