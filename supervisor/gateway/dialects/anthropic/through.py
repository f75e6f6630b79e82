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
_START, _END, _STOP = b'"message_start"', b'"message_delta"', b'"message_stop"'

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
            return event + b"\n\n" if event else b""
        head = self._checked(data)[:64]
        if _START in head:
            event = self._start(data, event)
        elif _END in head:
            self._end(data)
        elif _STOP in head:
            self.done = True
        elif b'"error"' in head and reply.event(data, self._asked).type == "error":
            self.error = True
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
