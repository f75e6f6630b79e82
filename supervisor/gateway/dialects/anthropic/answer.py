"""An answer in OpenAI's dialect as Anthropic's Messages tells it, whole and as a stream. Pure.

    message_start  (content_block_start  content_block_delta…  content_block_stop)…  message_delta  message_stop

The server's usage comes last in OpenAI's dialect, so it stands in message_delta; message_start says what is known of
the input by then: nothing.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from aish.errors import UpstreamError
from aish.supervisor.gateway.dialects import chunk, sse
from aish.supervisor.gateway.dialects.anthropic import failure
from aish.supervisor.gateway.dialects.ordered import Ordered
from aish.supervisor.gateway.meter import Stream, estimate_prompt

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call

Kind = Literal["thinking", "text", "tool_use"]
_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_EMPTY: Final[dict[str, object]] = {}

_encode: Final = msgspec.json.Encoder().encode


def whole(call: Call, body: bytes) -> bytes:
    """Raises UpstreamError where it is none."""
    event = chunk.read(body, call.model)
    if not event.choices or event.choices[0].message is None:
        raise UpstreamError(f"the server of {call.model} sent an answer without a message")
    choice, said = event.choices[0], event.choices[0].message
    content: list[dict[str, object]] = []
    if said.thought:
        content.append({"type": "thinking", "thinking": said.thought, "signature": ""})
    if said.content or said.refusal:
        content.append({"type": "text", "text": said.content or said.refusal})
    content += [_tool_use(tool, call) for tool in chunk.uncut(said.tool_calls or [], choice.finish_reason)]
    written = sum(len(part) for part in (said.thought, said.content or "", said.refusal or ""))
    reason = _reason(choice.finish_reason, called=bool(said.tool_calls), refused=bool(said.refusal))
    message = _message(event.model or call.model, content, reason, _usage(event.usage, call, -(-written // 4)))
    return _encode(message)


def _tool_use(tool: chunk.ToolCall, call: Call) -> dict[str, object]:
    function = tool.function or chunk.Function()
    arguments = (function.arguments or "").strip() or "{}"
    if not chunk.is_object(arguments):
        raise UpstreamError(f"the server of {call.model} sent a tool call whose arguments are no JSON object")
    return {
        "type": "tool_use",
        "id": tool.id or _id("toolu"),
        "name": function.name or "",
        "input": msgspec.Raw(arguments.encode()),
    }


def _message(
    model: str, content: list[dict[str, object]], reason: str | None, usage: dict[str, object]
) -> dict[str, object]:
    return {
        "id": _id("msg"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }


def _usage(raw: msgspec.Raw, call: Call, written: int) -> dict[str, object]:
    """Anthropic counts what was read from a cache apart. Where the server tells nothing, a likely number."""
    told = chunk.usage(raw)
    if told is None:
        return {"input_tokens": estimate_prompt(call.prompt_bytes), "output_tokens": written}
    usage: dict[str, object] = {
        "input_tokens": told.prompt_tokens - told.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": told.cached,
        "output_tokens": told.completion_tokens,
    }
    if told.reasoning is not None:
        usage["output_tokens_details"] = {"thinking_tokens": told.reasoning}
    return usage


def _reason(told: str | None, *, called: bool, refused: bool) -> str:
    if refused:
        return "refusal"
    if called and told in (None, "stop"):  # some servers call every end a stop
        return "tool_use"
    return _REASONS.get(told or "stop", "end_turn")


def _id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


class Events:
    """A Writer. One block is open at a time."""

    content_type = sse.CONTENT_TYPE

    def __init__(self, call: Call) -> None:
        self._call = call
        self._model = call.model
        self._begun = self._over = False
        self._open: tuple[Kind, int] | None = None
        """The kind of the open block; for a tool call also its place among the calls."""
        self._calls = Ordered()
        self._blocks = 0
        self._called = False
        self._refused = False
        self._why: str | None = None
        self._told = chunk.UNSEEN
        self._count = Stream()

    def feed(self, events: bytes) -> bytes:
        out: list[bytes] = []
        for event in events.split(b"\n\n"):
            payload = sse.payload(event) if event else None
            if payload is None:
                if event:
                    out.append(_event("ping", _EMPTY))  # a comment that keeps the connection awake
            elif payload == sse.DONE:
                self._end(out)
            else:
                self._take(payload, out)
        return b"".join(out)

    def error(self, body: bytes) -> bytes:
        self._over = True
        return failure.event(body)

    def _take(self, payload: bytes, out: list[bytes]) -> None:
        event = chunk.read(payload, self._model)
        if event.failed:
            out.append(self.error(payload))
            return
        self._model = event.model or self._model
        if event.usage not in (chunk.UNSEEN, chunk.NULL):
            self._told = event.usage
        self._begin(out)
        for choice in event.choices[:1]:
            if choice.delta is not None:
                self._say(choice.delta, out)
            self._why = choice.finish_reason or self._why

    def _begin(self, out: list[bytes]) -> None:
        if self._begun:
            return
        self._begun = True
        message = _message(self._model, [], None, {"input_tokens": 0, "output_tokens": 0})
        out += [_event("message_start", {"message": message}), _event("ping", _EMPTY)]

    def _say(self, said: chunk.Words, out: list[bytes]) -> None:
        text = said.content or said.refusal
        if said.thought or text:
            self._tell_calls(self._calls.rest(), out)
        if said.thought:
            self._delta("thinking", {"type": "thinking_delta", "thinking": said.thought}, out)
            self._count.count(len(said.thought.encode()))
        if text:
            self._refused = self._refused or bool(said.refusal)
            self._delta("text", {"type": "text_delta", "text": text}, out)
            self._count.count(len(text.encode()))
        for tool in said.tool_calls or ():
            self._tell_calls(self._calls.put(tool, self._model), out)

    def _tell_calls(self, pieces: list[tuple[int, chunk.ToolCall]], out: list[bytes]) -> None:
        for place, tool in pieces:
            self._call_part(place, tool, out)

    def _call_part(self, place: int, tool: chunk.ToolCall, out: list[bytes]) -> None:
        function = tool.function or chunk.Function()
        if self._open != ("tool_use", place):
            self._called = True
            block: dict[str, object] = {
                "type": "tool_use",
                "id": tool.id or _id("toolu"),
                "name": function.name or "",
                "input": _EMPTY,
            }
            self._start(("tool_use", place), block, out)
        if function.arguments:
            delta = {"type": "input_json_delta", "partial_json": function.arguments}
            out.append(_event("content_block_delta", {"index": self._blocks - 1, "delta": delta}))
            self._count.count(len(function.arguments.encode()))

    def _delta(self, kind: Literal["thinking", "text"], delta: dict[str, object], out: list[bytes]) -> None:
        if self._open != (kind, 0):
            block: dict[str, object] = {"type": kind, kind: ""}
            if kind == "thinking":
                block["signature"] = ""
            self._start((kind, 0), block, out)
        out.append(_event("content_block_delta", {"index": self._blocks - 1, "delta": delta}))

    def _start(self, what: tuple[Kind, int], block: dict[str, object], out: list[bytes]) -> None:
        self._stop(out)
        self._open = what
        out.append(_event("content_block_start", {"index": self._blocks, "content_block": block}))
        self._blocks += 1

    def _stop(self, out: list[bytes]) -> None:
        if self._open is not None:
            out.append(_event("content_block_stop", {"index": self._blocks - 1}))
        self._open = None

    def _end(self, out: list[bytes]) -> None:
        if self._over:
            return
        self._over = True
        self._begin(out)
        self._tell_calls(self._calls.rest(), out)
        self._stop(out)
        reason = _reason(self._why, called=self._called, refused=self._refused)
        delta = {"stop_reason": reason, "stop_sequence": None}
        usage = _usage(self._told, self._call, self._count.estimate())
        out += [_event("message_delta", {"delta": delta, "usage": usage}), _event("message_stop", _EMPTY)]


def _event(kind: str, fields: dict[str, object]) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _encode({"type": kind, **fields}) + b"\n\n"
