"""A stream of llama.cpp's events put together to the answer that a client without a stream gets. Pure.

llama.cpp works on to the end of an answer that nobody waits for, unless it is a stream: so a stream it always is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec

from aish.errors import UpstreamError
from aish.supervisor.gateway.dialects import chunk, sse
from aish.supervisor.gateway.dialects.call import AnyObject
from aish.supervisor.gateway.dialects.worked import Worked

MAX_CALLS: Final = 1024
"""Tool calls in one answer."""

_encode: Final = msgspec.json.Encoder().encode


@dataclass(slots=True)
class _Call:
    id: str = ""
    type: str = "function"
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether its arguments are an object: what the output limit has cut is none."""
        try:
            msgspec.json.decode("".join(self.arguments), type=AnyObject)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return False
        return True


@dataclass(slots=True)
class _Answer:
    """One choice so far."""

    role: str = "assistant"
    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    calls: dict[int, _Call] = field(default_factory=dict)
    logprobs: list[bytes] | None = None
    finish_reason: str | None = None


class Assembly:
    """One answer. `server` and `most_choices` are for what a server does wrong; `chat`: else a completion."""

    def __init__(self, server: str, *, chat: bool, most_choices: int, most_bytes: int) -> None:
        self._server = server
        self._chat = chat
        self._most_choices = most_choices
        self._room_bytes = most_bytes
        self._answers: dict[int, _Answer] = {}
        self.worked = Worked()
        self._head: dict[str, object] = {}
        self._tail: dict[str, bytes] = {}
        self.error: bytes | None = None
        """The event by which the server told that it failed: then there is no answer."""

    def feed(self, events: bytes) -> None:
        """Whole events. Raises UpstreamError on what cannot be put together."""
        self._room_bytes -= len(events)
        if self._room_bytes < 0:
            raise UpstreamError(f"the server of {self._server} sent more than an answer may have")
        for event in events.split(b"\n\n"):
            payload = sse.payload(event) if event else None
            if payload and payload != sse.DONE:
                self._take(payload)

    def _take(self, payload: bytes) -> None:
        event = chunk.read(payload, self._server)
        try:
            self.worked.add((choice.index for choice in event.choices), event.timings)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UpstreamError(f"the server of {self._server} sent a malformed answer: {error}") from None
        if event.failed:
            self.error = payload
            return
        for name in ("id", "created", "model", "system_fingerprint"):
            value = getattr(event, name)
            if value is not None:
                self._head[name] = value
        for name, raw in (("usage", event.usage), ("timings", event.timings)):
            if raw not in (chunk.UNSEEN, chunk.NULL):
                self._tail[name] = bytes(raw)  # a copy: the raw one would keep its whole event
        for choice in event.choices:
            self._add(choice)

    def _add(self, choice: chunk.Choice) -> None:
        answer = self._answers.get(choice.index)
        if answer is None:
            if len(self._answers) >= self._most_choices:
                raise UpstreamError(f"the server of {self._server} sent more answers than were asked for")
            answer = self._answers[choice.index] = _Answer()
        answer.finish_reason = choice.finish_reason or answer.finish_reason
        if choice.text:
            answer.text.append(choice.text)
        if choice.logprobs is not None and choice.logprobs.content:
            answer.logprobs = answer.logprobs or []
            answer.logprobs.extend(map(bytes, choice.logprobs.content))
        delta = choice.delta
        if delta is None:
            return
        answer.role = delta.role or answer.role
        if delta.content:
            answer.content.append(delta.content)
        if delta.reasoning_content:
            answer.reasoning.append(delta.reasoning_content)
        for part in delta.tool_calls or ():
            self._add_call(answer, part)

    def _add_call(self, answer: _Answer, part: chunk.ToolCall) -> None:
        call = answer.calls.get(part.index)
        if call is None:
            if len(answer.calls) >= MAX_CALLS:
                raise UpstreamError(f"the server of {self._server} sent more than {MAX_CALLS} tool calls")
            call = answer.calls[part.index] = _Call()
        call.id = part.id or call.id
        call.type = part.type or call.type
        if part.function is not None:
            call.name = part.function.name or call.name
            if part.function.arguments:
                call.arguments.append(part.function.arguments)

    def choices(self) -> tuple[bytes, ...]:
        """The answers, as far as they came."""
        return tuple(_encode(self._choice(index, answer)) for index, answer in sorted(self._answers.items()))

    def _choice(self, index: int, answer: _Answer) -> dict[str, object]:
        logprobs = None if answer.logprobs is None else {"content": [*map(msgspec.Raw, answer.logprobs)]}
        choice: dict[str, object] = {"index": index, "finish_reason": answer.finish_reason}
        if not self._chat:
            return {"text": "".join(answer.text), **choice, "logprobs": logprobs}
        message: dict[str, object] = {"role": answer.role, "content": "".join(answer.content)}
        if answer.reasoning:
            message["reasoning_content"] = "".join(answer.reasoning)
        calls = [call for _, call in sorted(answer.calls.items()) if call.whole or answer.finish_reason != "length"]
        if calls:
            message["tool_calls"] = [_tool_call(call) for call in calls]
        choice["message"] = message
        return choice if logprobs is None else {**choice, "logprobs": logprobs}

    def answer(self) -> bytes:
        """The whole reply. Raises UpstreamError when there is none."""
        if not self._answers:
            raise UpstreamError(f"the server of {self._server} ended its stream without an answer")
        return _encode(
            {
                "choices": [*map(msgspec.Raw, self.choices())],
                "object": "chat.completion" if self._chat else "text_completion",
                **self._head,
                **{name: msgspec.Raw(raw) for name, raw in self._tail.items()},
            }
        )


def _tool_call(call: _Call) -> dict[str, object]:
    function = {"name": call.name, "arguments": "".join(call.arguments)}
    return {"type": call.type, "function": function, "id": call.id}
