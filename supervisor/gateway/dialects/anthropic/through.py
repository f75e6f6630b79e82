"""Anthropic's dialect on its way to a server that speaks it: bytes pass as they are. Pure.

A request has its model's name and its output limit rewritten; an answer is read for what was used, and gets back the
name that the client knows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from aish.supervisor.gateway.dialects import sse
from aish.supervisor.gateway.dialects.anthropic import reply

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call

_TEXT: Final = re.compile(rb'"(?:text|thinking|partial_json)":\s*"((?:[^"\\]++|\\.)++)"')
_TYPE: Final = re.compile(rb'"type":\s*"(\w+)"')
_STOP: Final = b'"message_stop"'

_encode: Final = msgspec.json.Encoder().encode


def body(call: Call, upstream_name: str | None, limit: int | None) -> bytes:
    """`limit`: the output tokens that were granted; None leaves the request's own."""
    fields = dict(call.fields)
    if upstream_name is not None:
        fields["model"] = msgspec.Raw(_encode(upstream_name))
    if limit is not None:
        fields["max_tokens"] = msgspec.Raw(_encode(limit))
    return _encode(fields)


class Relay(sse.Frames):
    """A stream that passes."""

    def __init__(self, asked: str) -> None:
        super().__init__(asked)
        self._started: reply.Usage | None = None
        self._told: str | None = None

    def _is_last(self, event: bytes) -> bool:
        return _STOP in event

    def _event(self, event: bytes) -> bytes:
        event = event.lstrip(b"\n")
        data = sse.payload(event) if event else None
        if data is None:
            return sse.awake(event) if event else b""
        match _kind(event, self._checked(data)):
            case b"message_start":
                event = self._start(data, event)
            case b"message_delta":
                self._end(data)
            case b"message_stop":
                self._ended()
            case b"error":
                self.error, self.done = data, True
            case _:
                pass
        text_bytes = sum(map(len, _TEXT.findall(data)))
        if text_bytes:
            self.count.count(text_bytes)
        return event + b"\n\n"

    def _start(self, data: bytes, event: bytes) -> bytes:
        started = reply.event(data, self._asked).message
        if started is None:
            return event
        self.begun = True
        self._started = reply.usage(started.usage)
        if self._started is not None and self._started.input_tokens is not None:
            self.prompt = self._started.prompt
        if started.model and started.model != self._asked:
            event = sse.renamed(event, data, started.model, self._asked, "message")
        return event

    def _end(self, data: bytes) -> None:
        told = reply.usage(reply.event(data, self._asked).usage)
        if told is not None:
            self.used = told.after(self._started).used()


def _kind(event: bytes, data: bytes) -> bytes:
    """Of an event: its name, else its type, which is the first of its fields but for servers that sort them."""
    if event.startswith(b"event:"):
        return event[6 : event.find(b"\n")].strip()
    found = _TYPE.search(data, 0, 64)
    return found[1] if found is not None else b""
