"""OpenAI's answers as Gemini tells them, whole and as a stream. Pure.

A call of a function is told when it is whole, its arguments as an object.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import UpstreamError
from aish.supervisor.gateway.dialects import chunk, openai, sse
from aish.supervisor.gateway.meter import Stream, estimate_prompt

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call

Fields = dict[str, object]
_REASONS: Final = {"length": "MAX_TOKENS", "content_filter": "SAFETY"}
_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_encode: Final = msgspec.json.Encoder().encode


def whole(call: Call, body: bytes) -> bytes:
    """Raises UpstreamError where it is none."""
    event = chunk.read(body, call.model)
    if not event.choices or event.choices[0].message is None:
        raise UpstreamError(f"the server of {call.model} sent an answer without a message")
    choice, said = event.choices[0], event.choices[0].message
    parts = [*_thought(said.thought), *_words(said.content or said.refusal or "")]
    made = chunk.uncut(said.tool_calls or [], choice.finish_reason)
    parts += [_called(tool, call.model) for tool in made]
    why = "content_filter" if said.refusal else choice.finish_reason
    written = sum(len(part) for part in (said.thought, said.content or "", said.refusal or "")) // 4
    usage = _usage(event.usage, call, written)
    return _encode(_response(parts, event.model or call.model, _id(), why or "stop", usage))


def _response(
    parts: list[Fields], model: str, id_: str, why: str | None = None, usage: Fields | None = None
) -> Fields:
    candidate: Fields = {"content": {"role": "model", "parts": parts}, "index": 0}
    if why is not None:
        candidate["finishReason"] = _REASONS.get(why, "STOP")
    told: Fields = {"candidates": [candidate], "modelVersion": model, "responseId": id_}
    return told if usage is None else {**told, "usageMetadata": usage}


def _words(text: str) -> list[Fields]:
    return [{"text": text}] if text else []


def _thought(text: str) -> list[Fields]:
    return [{"text": text, "thought": True}] if text else []


def _called(tool: chunk.ToolCall, server: str) -> Fields:
    function = tool.function or chunk.Function()
    given = (function.arguments or "").strip() or "{}"
    if not chunk.is_object(given):
        raise UpstreamError(f"the server of {server} sent a tool call whose arguments are no JSON object")
    call: Fields = {"name": function.name or "", "args": msgspec.Raw(given.encode())}
    return {"functionCall": {"id": tool.id, **call} if tool.id else call}


def _usage(raw: msgspec.Raw, call: Call, written: int) -> Fields:
    """Gemini tells thoughts beside the answer. Where the server tells nothing, a likely number."""
    told = chunk.usage(raw) or chunk.Usage(estimate_prompt(call.prompt_bytes), written)
    reasoning = min(told.reasoning or 0, told.completion_tokens)
    usage: Fields = {
        "promptTokenCount": told.prompt_tokens,
        "candidatesTokenCount": told.completion_tokens - reasoning,
        "totalTokenCount": told.prompt_tokens + told.completion_tokens,
    }
    if reasoning:
        usage["thoughtsTokenCount"] = reasoning
    if told.cached:
        usage["cachedContentTokenCount"] = told.cached
    return usage


def _id() -> str:
    return secrets.token_hex(12)


class Chunks:
    """A Writer. `array`: for who did not ask for events: one JSON array."""

    def __init__(self, call: Call, *, array: bool) -> None:
        self._call, self._array = call, array
        self._model, self._id = call.model, _id()
        self._begun = self._over = False
        self._places = chunk.Calls()
        self._calls: dict[int, chunk.ToolCall] = {}
        self._parts: dict[int, list[str]] = {}
        self._why: str | None = None
        self._told = chunk.UNSEEN
        self._count = Stream()

    @property
    def content_type(self) -> str:
        return "application/json" if self._array else sse.CONTENT_TYPE

    def feed(self, events: bytes) -> bytes:
        out: list[bytes] = []
        for event in events.split(b"\n\n"):
            payload = sse.payload(event) if event else None
            if payload == sse.DONE:
                out += self._end()
            elif payload is not None:
                out += self._take(payload)
        return b"".join(out)

    def error(self, body: bytes) -> bytes:
        self._over = True
        return self._data(failure(openai.error_status(body), body), last=True)

    def _take(self, payload: bytes) -> list[bytes]:
        event = chunk.read(payload, self._model)
        if event.failed:
            return [self.error(payload)]
        self._model = event.model or self._model
        if event.usage not in (chunk.UNSEEN, chunk.NULL):
            self._told = event.usage
        parts: list[Fields] = []
        for choice in event.choices[:1]:
            self._why = choice.finish_reason or self._why
            said = choice.delta or chunk.Words()
            if said.refusal:
                self._why = "content_filter"
            text = said.content or said.refusal or ""
            parts += [*_thought(said.thought), *_words(text)]
            if parts:
                self._count.count(len((said.thought + text).encode()))
            for tool in said.tool_calls or ():
                self._add(tool)
        return [self._data(_encode(_response(parts, self._model, self._id)))] if parts else []

    def _add(self, tool: chunk.ToolCall) -> None:
        function, place = tool.function or chunk.Function(), self._places.place(tool)
        known = self._calls.setdefault(place, chunk.ToolCall(place, tool.id, None, chunk.Function("")))
        known.id = known.id or tool.id
        assert known.function is not None
        known.function.name = known.function.name or function.name
        self._parts.setdefault(place, []).append(function.arguments or "")

    def _end(self) -> list[bytes]:
        if self._over:
            return []
        self._over = True
        for index, tool in self._calls.items():
            assert tool.function is not None
            tool.function.arguments = "".join(self._parts[index])
        made = chunk.uncut(list(self._calls.values()), self._why)
        parts = [_called(tool, self._model) for tool in made]
        usage = _usage(self._told, self._call, self._count.estimate())
        last = _response(parts or [{"text": ""}], self._model, self._id, self._why or "stop", usage)
        return [self._data(_encode(last), last=True)]

    def _data(self, data: bytes, *, last: bool = False) -> bytes:
        if not self._array:
            return b"data: " + data + b"\n\n"
        start = b",\n" if self._begun else b"["
        self._begun = True
        return start + data + (b"]\n" if last else b"")


# --- errors ---------------------------------------------------------------------------------------------------------


class _Error(msgspec.Struct):
    message: str = "the request failed"


class _ErrorBody(msgspec.Struct):
    error: _Error


def failure(status: int, body: bytes) -> bytes:
    """`body` is an error in OpenAI's shape."""
    try:
        message = msgspec.json.decode(body, type=_ErrorBody).error.message
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        message = _Error().message
    kind = _STATUSES.get(status, "INVALID_ARGUMENT" if 400 <= status < 500 else "INTERNAL")
    return _encode({"error": {"code": status, "message": message, "status": kind}})


# --- models ---------------------------------------------------------------------------------------------------------


def listed(model: openai.Listed) -> Fields:
    told: Fields = {
        "name": f"models/{model.id}",
        "version": "1",
        "displayName": model.id,
        "description": model.state,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
    return told if model.context_tokens is None else {**told, "inputTokenLimit": model.context_tokens}
