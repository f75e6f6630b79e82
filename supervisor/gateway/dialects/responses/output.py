"""What a response has in it: the object itself and its items. Pure."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from aish.supervisor.gateway.dialects import chunk
from aish.supervisor.gateway.dialects.responses.tools import INPUT
from aish.supervisor.gateway.meter import estimate_prompt

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call

Fields = dict[str, object]
_REASONS: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ECHOED: Final[dict[str, object]] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""What of a request a response repeats, and what stands there if it is not said."""


_encode: Final = msgspec.json.Encoder().encode


class _Input(msgspec.Struct):
    input: str


class _Error(msgspec.Struct):
    message: str = "the request failed"
    code: str | int | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error


def made_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


def response(call: Call, id_: str, model: str, created: int) -> Fields:
    """One that has just begun."""
    return {
        "id": id_,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": [],
        "previous_response_id": None,
        "store": False,
        "usage": None,
        **{name: call.fields.get(name, default) for name, default in _ECHOED.items()},
    }


def ended(begun: Fields, items: list[Fields], why: str | None, usage: Fields) -> Fields:
    """The same when it is over; `why` is the finish_reason of the chat."""
    reason = _REASONS.get(why or "stop")
    status = {"status": "completed" if reason is None else "incomplete"}
    details = {"incomplete_details": None if reason is None else {"reason": reason}}
    return {**begun, **status, **details, "output": items, "usage": usage}


def event(kind: str, number: int, fields: Fields) -> bytes:
    """One of a stream."""
    data = _encode({"type": kind, "sequence_number": number, **fields})
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def failure(begun: Fields, number: int, body: bytes) -> list[bytes]:
    """Told twice, as by OpenAI's own servers: as an error, and as the end of the response. `body` is an error in the
    shape of OpenAI's other paths, `number` that of the next event."""
    try:
        told = msgspec.json.decode(body, type=_ErrorBody).error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        told = _Error()
    code = told.code if isinstance(told.code, str) else "server_error"
    over = {**begun, "status": "failed", "error": {"code": code, "message": told.message}}
    return [
        event("error", number, {"code": code, "message": told.message, "param": None}),
        event("response.failed", number + 1, {"response": over}),
    ]


def usage(raw: msgspec.Raw, call: Call, written: int) -> Fields:
    """Where the server tells nothing, a likely number."""
    told = chunk.usage(raw)
    if told is None:
        told = chunk.Usage(estimate_prompt(call.prompt_bytes), written)
    return {
        "input_tokens": told.prompt_tokens,
        "input_tokens_details": {"cached_tokens": told.cached, "cache_write_tokens": 0},
        "output_tokens": told.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": told.reasoning or 0},
        "total_tokens": told.prompt_tokens + told.completion_tokens,
    }


# --- items ------------------------------------------------------------------------------------------------------


def reasoning(id_: str, text: str) -> Fields:
    content = [{"type": "reasoning_text", "text": text}] if text else []
    return {"id": id_, "type": "reasoning", "summary": [], "content": content}


def message(id_: str, parts: list[Fields], status: str) -> Fields:
    return {"id": id_, "type": "message", "role": "assistant", "status": status, "content": parts}


def text_part(text: str) -> Fields:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal_part(text: str) -> Fields:
    return {"type": "refusal", "refusal": text}


Called = tuple[str | None, str]
"""Namespace and name of a tool."""


def function_call(id_: str, call_id: str, called: Called, arguments: str, status: str) -> Fields:
    head = {"id": id_, "type": "function_call", "call_id": call_id, **_named(called)}
    return {**head, "arguments": arguments, "status": status}


def custom_call(id_: str, call_id: str, called: Called, text: str, status: str) -> Fields:
    head = {"id": id_, "type": "custom_tool_call", "call_id": call_id, **_named(called)}
    return {**head, "input": text, "status": status}


def _named(called: Called) -> Fields:
    space, name = called
    return {"name": name} if space is None else {"name": name, "namespace": space}


def custom_input(arguments: str) -> str:
    """The text that a custom tool is called with; the arguments as they are where the server made others."""
    try:
        return msgspec.json.decode(arguments, type=_Input).input
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return arguments


assert _Input.__struct_fields__ == (INPUT,)
