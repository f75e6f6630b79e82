"""OpenAI's answers as Ollama's, whole and as lines of JSON. The durations are by our clock: the server tells none.

A call of a tool is told when it is whole, its arguments as an object.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import UpstreamError
from aish.supervisor.gateway.dialects import chunk, openai, sse
from aish.supervisor.gateway.meter import Stream, estimate_prompt

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call

Fields = dict[str, object]
_encode: Final = msgspec.json.Encoder().encode


def said(words: chunk.Words, calls: list[Fields], *, chat: bool) -> Fields:
    """What of an answer is text: in a message, or in a field of its own."""
    if not chat:
        found: Fields = {"response": words.content or words.refusal or ""}
        return {**found, "thinking": words.thought} if words.thought else found
    message: Fields = {"role": "assistant", "content": words.content or words.refusal or ""}
    if words.thought:
        message["thinking"] = words.thought
    if calls:
        message["tool_calls"] = calls
    return {"message": message}


def tool_call(name: str, arguments: str, server: str) -> Fields:
    """Raises UpstreamError."""
    given = arguments.strip() or "{}"
    if not chunk.is_object(given):
        raise UpstreamError(f"the server of {server} sent a tool call whose arguments are no JSON object")
    return {"function": {"name": name, "arguments": msgspec.Raw(given.encode())}}


def tool_calls(made: list[chunk.ToolCall], why: str | None, server: str) -> list[Fields]:
    """Raises UpstreamError."""
    functions = [tool.function for tool in chunk.uncut(made, why) if tool.function is not None]
    return [tool_call(function.name or "", function.arguments or "", server) for function in functions]


def stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def counts(raw: msgspec.Raw, call: Call, written: int) -> Fields:
    told = chunk.usage(raw)
    if told is None:
        return {"prompt_eval_count": estimate_prompt(call.prompt_bytes), "eval_count": written}
    return {"prompt_eval_count": told.prompt_tokens, "eval_count": told.completion_tokens}


def over(why: str | None) -> Fields:
    return {"done": True, "done_reason": "length" if why == "length" else "stop"}


def whole(call: Call, body: bytes, *, chat: bool) -> bytes:
    """Raises UpstreamError where it is none."""
    event = chunk.read(body, call.model)
    if not event.choices:
        raise UpstreamError(f"the server of {call.model} sent an answer without a choice")
    choice = event.choices[0]
    words = choice.message or chunk.Words(content=choice.text)
    calls = tool_calls(words.tool_calls or [], choice.finish_reason, call.model)
    written = (len(words.content or "") + len(words.thought)) // 4
    head = {"model": event.model or call.model, "created_at": stamp()}
    return _encode(
        {**head, **said(words, calls, chat=chat), **over(choice.finish_reason), **counts(event.usage, call, written)}
    )


class Lines:
    """A Writer."""

    content_type = "application/x-ndjson"

    def __init__(self, call: Call, *, chat: bool) -> None:
        self._call, self._chat = call, chat
        self._model = call.model
        self._began_ns = time.monotonic_ns()
        self._first_ns: int | None = None
        self._places = chunk.Calls()
        self._calls: dict[int, tuple[str, list[str]]] = {}
        self._why: str | None = None
        self._told = chunk.UNSEEN
        self._count = Stream()
        self._over = False

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
        return error(body) + b"\n"

    def _take(self, payload: bytes) -> list[bytes]:
        event = chunk.read(payload, self._model)
        if event.failed:
            return [self.error(payload)]
        self._model = event.model or self._model
        if event.usage not in (chunk.UNSEEN, chunk.NULL):
            self._told = event.usage
        out: list[bytes] = []
        for choice in event.choices[:1]:
            self._why = choice.finish_reason or self._why
            words = choice.delta or chunk.Words(content=choice.text)
            text = (words.content or "") + words.thought + (words.refusal or "")
            if text:
                self._first_ns = self._first_ns or time.monotonic_ns()
                self._count.count(len(text.encode()))
                out.append(self._line({**said(words, [], chat=self._chat), "done": False}))
            for tool in words.tool_calls or ():
                self._add(tool)
        return out

    def _add(self, tool: chunk.ToolCall) -> None:
        function, place = tool.function or chunk.Function(), self._places.place(tool)
        _, parts = self._calls.setdefault(place, (function.name or "", []))
        parts.append(function.arguments or "")

    def _end(self) -> list[bytes]:
        if self._over:
            return []
        self._over = True
        made = [chunk.ToolCall(function=chunk.Function(name, "".join(parts))) for name, parts in self._calls.values()]
        calls = tool_calls(made, self._why, self._model)
        empty = chunk.Words(content="")
        out = [self._line({**said(empty, calls, chat=self._chat), "done": False})] if calls and self._chat else []
        last = {**said(empty, [], chat=self._chat), **over(self._why), **self._durations()}
        return [*out, self._line({**last, **counts(self._told, self._call, self._count.estimate())})]

    def _durations(self) -> Fields:
        now_ns = time.monotonic_ns()
        first_ns = self._first_ns or now_ns
        return {
            "total_duration": now_ns - self._began_ns,
            "load_duration": 0,
            "prompt_eval_duration": first_ns - self._began_ns,
            "eval_duration": now_ns - first_ns,
        }

    def _line(self, fields: Fields) -> bytes:
        return _encode({"model": self._model, "created_at": stamp(), **fields}) + b"\n"


# --- embeddings -------------------------------------------------------------------------------------------------


class _Vector(msgspec.Struct):
    embedding: msgspec.Raw


class _Vectors(msgspec.Struct):
    data: list[_Vector]
    model: str | None = None
    usage: msgspec.Raw = chunk.UNSEEN


def vectors(call: Call, body: bytes, *, one: bool) -> bytes:
    """Raises UpstreamError."""
    try:
        found = msgspec.json.decode(body, type=_Vectors)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UpstreamError(f"the server of {call.model} sent malformed embeddings: {error}") from None
    if one:
        if len(found.data) != 1:
            raise UpstreamError(f"the server of {call.model} sent {len(found.data)} embeddings of one text")
        return _encode({"embedding": found.data[0].embedding})
    told = chunk.usage(found.usage)
    counted = estimate_prompt(call.prompt_bytes) if told is None else told.prompt_tokens
    head = {"model": found.model or call.model, "embeddings": [vector.embedding for vector in found.data]}
    return _encode({**head, "prompt_eval_count": counted})


# --- errors -----------------------------------------------------------------------------------------------------


class _Error(msgspec.Struct):
    message: str = "the request failed"


class _ErrorBody(msgspec.Struct):
    error: _Error


def error(body: bytes) -> bytes:
    """`body` is an error in OpenAI's shape."""
    try:
        message = msgspec.json.decode(body, type=_ErrorBody).error.message
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        message = _Error().message
    return _encode({"error": message})


# --- models -----------------------------------------------------------------------------------------------------


def listed(model: openai.Listed) -> Fields:
    when = datetime.fromtimestamp(model.created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    name = model.id if ":" in model.id else f"{model.id}:latest"
    return {"name": name, "model": name, "modified_at": when, "size": 0, "digest": "", "details": details()}


def details() -> Fields:
    return {
        "parent_model": "",
        "format": "",
        "family": "",
        "families": [],
        "parameter_size": "",
        "quantization_level": "",
    }


def shown(model: openai.Listed) -> bytes:
    """As far as the gateway knows it."""
    info = {} if model.context_tokens is None else {"aish.context_length": model.context_tokens}
    return _encode(
        {
            "details": details(),
            "model_info": info,
            "capabilities": ["completion", "tools"],
            "modelfile": "",
            "template": "",
        }
    )
