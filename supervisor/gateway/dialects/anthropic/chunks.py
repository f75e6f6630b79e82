"""What an Anthropic server answers in OpenAI's dialect, whole and as a stream. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from aish.supervisor.gateway.dialects import sse
from aish.supervisor.gateway.dialects.anthropic import reply

if TYPE_CHECKING:
    from aish.supervisor.gateway.meter import Used

_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_PING: Final = b": ping\n\n"

_encode: Final = msgspec.json.Encoder().encode


class _Error(msgspec.Struct):
    type: str = "api_error"
    message: str = "the server told an error without a word"


class _ErrorBody(msgspec.Struct):
    error: _Error


def whole(body: bytes, asked: str, created: int) -> bytes:
    """A message as a chat completion. Raises UpstreamError."""
    message = reply.message(body, asked)
    calls = [_call(place, block) for place, block in enumerate(_of(message, "tool_use"))]
    said: dict[str, object] = {
        "role": "assistant",
        "content": "".join(block.text or "" for block in _of(message, "text")) or (None if calls else ""),
    }
    thought = "".join(block.thinking or "" for block in _of(message, "thinking"))
    if thought:
        said["reasoning_content"] = thought
    if calls:
        said["tool_calls"] = calls
    answer: dict[str, object] = {
        "id": message.id or "",
        "object": "chat.completion",
        "created": created,
        "model": asked,
        "choices": [{"index": 0, "message": said, "finish_reason": reason(message.stop_reason)}],
    }
    told = reply.usage(message.usage)
    used = told.used() if told is not None else None
    return _encode(answer if used is None else {**answer, "usage": _usage(used)})


def _of(message: reply.Message, kind: str) -> list[reply.Block]:
    return [block for block in message.content or () if block.type == kind]


def _call(place: int, block: reply.Block) -> dict[str, object]:
    return {
        "index": place,
        "id": block.id or "",
        "type": "function",
        "function": {"name": block.name or "", "arguments": _given(block)},
    }


def _given(block: reply.Block) -> str:
    given = bytes(block.input).decode()
    return "{}" if given == "null" else given


def reason(told: str | None) -> str:
    return _REASONS.get(told or "end_turn", "stop")


def _usage(used: Used) -> dict[str, object]:
    return {
        "prompt_tokens": used.input,
        "completion_tokens": used.output,
        "total_tokens": used.input + used.output,
        "prompt_tokens_details": {"cached_tokens": used.cached},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning},
    }


def error(body: bytes) -> bytes:
    """An error of the server's in OpenAI's shape; as it is where it is none."""
    try:
        told = msgspec.json.decode(body, type=_ErrorBody).error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return body
    return _encode({"error": {"message": told.message, "type": told.type, "param": None, "code": None}})


class Relay(sse.Frames):
    """A stream of messages' events that goes on as chunks. `keep_usage`: the client asked for the usage."""

    def __init__(self, asked: str, created: int, *, keep_usage: bool) -> None:
        super().__init__(asked)
        self._created = created
        self._keep_usage = keep_usage
        self._why: str | None = None
        self._started: reply.Usage | None = None
        self._id = ""
        self._calls: dict[int, int] = {}
        """Blocks that are tool calls -> their place among these."""
        self._bare: dict[int, str] = {}
        """Those of which no arguments came in pieces -> what they began with."""

    def _is_last(self, event: bytes) -> bool:
        return b'"message_stop"' in event

    def _event(self, event: bytes) -> bytes:
        event = event.lstrip(b"\n")
        data = sse.payload(event) if event else None
        if data is None:
            return _PING if event else b""
        told = reply.event(data, self._asked)
        match told.type:
            case "message_start":
                return self._start(told)
            case "content_block_start" if told.content_block is not None:
                return self._open(told.index, told.content_block)
            case "content_block_delta" if told.delta is not None:
                return self._more(told.index, told.delta)
            case "content_block_stop":
                return self._close(told.index)
            case "message_delta":
                return self._end(told)
            case "message_stop":
                return self._stop()
            case "error":
                self.error, self.done = data, True
                return b"data: " + error(data) + b"\n\n"
            case "ping":
                return _PING
            case _:
                return b""

    def _start(self, told: reply.Event) -> bytes:
        self.begun = True
        if told.message is not None:
            self._id = told.message.id or ""
            self._started = reply.usage(told.message.usage)
            if self._started is not None and self._started.input_tokens is not None:
                self.prompt = self._started.prompt
        return self._chunk({"role": "assistant", "content": ""})

    def _open(self, index: int, block: reply.Block) -> bytes:
        if block.type != "tool_use":
            return b""
        place = self._calls[index] = len(self._calls)
        self._bare[index] = _given(block)
        call = {
            "index": place,
            "id": block.id or "",
            "type": "function",
            "function": {"name": block.name or "", "arguments": ""},
        }
        return self._chunk({"tool_calls": [call]})

    def _more(self, index: int, delta: reply.Delta) -> bytes:
        if delta.text:
            self.count.count(len(delta.text.encode()))
            return self._chunk({"content": delta.text})
        if delta.thinking:
            self.count.count(len(delta.thinking.encode()))
            return self._chunk({"reasoning_content": delta.thinking})
        if delta.partial_json and index in self._calls:
            self.count.count(len(delta.partial_json.encode()))
            self._bare.pop(index, None)
            return self._arguments(index, delta.partial_json)
        return b""

    def _close(self, index: int) -> bytes:
        """A call without arguments is told in no piece but an empty one, which would be no JSON to a client."""
        given = self._bare.pop(index, None)
        return b"" if given is None else self._arguments(index, given)

    def _arguments(self, index: int, text: str) -> bytes:
        call = {"index": self._calls[index], "function": {"arguments": text}}
        return self._chunk({"tool_calls": [call]})

    def _end(self, told: reply.Event) -> bytes:
        usage = reply.usage(told.usage)
        if usage is not None:
            self.used = usage.after(self._started).used()
        why = told.delta.stop_reason if told.delta is not None else None
        if why is None or self._why is not None:
            return b""  # it tells figures only
        self._why = why
        return self._chunk({}, reason(why))

    def _stop(self) -> bytes:
        self._ended()
        usage = b"" if self._why is not None else self._chunk({}, reason(None))
        if self._keep_usage and self.used is not None:
            usage += self._data({"choices": [], "usage": _usage(self.used)})
        return usage + b"data: " + sse.DONE + b"\n\n"

    def _chunk(self, delta: dict[str, object], why: str | None = None) -> bytes:
        return self._data({"choices": [{"index": 0, "delta": delta, "finish_reason": why}]})

    def _data(self, fields: dict[str, object]) -> bytes:
        head = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._asked,
        }
        return b"data: " + _encode({**head, **fields}) + b"\n\n"
