"""The simulated provider's answers in Anthropic's dialect. Pure.

Source: platform.claude.com/docs/en/api/messages-streaming.
"""

from __future__ import annotations

import json
from typing import Any

from aish.plugins.simprovider.said import Event, Kind, Said

Fields = dict[str, Any]


def whole(said: Said) -> Fields:
    told = {"usage": usage(said)} if said.told else {}
    return {**_message(said), "content": _blocks(said), "stop_reason": _why(said), "stop_sequence": None, **told}


def events(said: Said) -> list[Event]:
    begun: Fields = {**_message(said), "content": [], "stop_reason": None, "stop_sequence": None}
    if said.told:
        begun["usage"] = {**usage(said), "output_tokens": 1}
    found = [_event("begin", "message_start", message=begun), _event("other", "ping")]
    for index, block in enumerate(_blocks(said)):
        found += _told(index, block, said)
    delta = {"stop_reason": _why(said), "stop_sequence": None}
    told = {"usage": {"output_tokens": said.output}} if said.told else {}
    found.append(_event("usage", "message_delta", delta=delta, **told))
    return [*found, _event("end", "message_stop")]


def usage(said: Said) -> Fields:
    told: Fields = {
        "input_tokens": said.input,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": said.output,
    }
    if said.thoughts:
        told["output_tokens_details"] = {"thinking_tokens": len(said.thoughts)}
    return told


def error(status: int, message: str) -> Fields:
    kinds = {
        400: "invalid_request_error",
        401: "authentication_error",
        429: "rate_limit_error",
        529: "overloaded_error",
    }
    told = {"type": kinds.get(status, "api_error"), "message": message}
    return {"type": "error", "error": told, "request_id": "req_sim"}


def told_error(message: str) -> Event:
    """An error inside a stream."""
    return _event("other", "error", error={"type": "overloaded_error", "message": message})


def _message(said: Said) -> Fields:
    return {"id": f"msg_sim_{said.turn}", "type": "message", "role": "assistant", "model": said.model}


def _blocks(said: Said) -> list[Fields]:
    found: list[Fields] = []
    if said.thoughts:
        found.append({"type": "thinking", "thinking": said.thought, "signature": "signed"})
    if said.words:
        found.append({"type": "text", "text": said.text})
    for place, (tool, given) in enumerate(said.calls):
        found.append({"type": "tool_use", "id": f"toolu_{said.turn}_{place}", "name": tool, "input": _input(given)})
    return found


def _told(index: int, block: Fields, said: Said) -> list[Event]:
    match block["type"]:
        case "thinking":
            empty: Fields = {"thinking": "", "signature": ""}
            deltas: list[Fields] = [{"type": "thinking_delta", "thinking": word} for word in said.thoughts]
            deltas.append({"type": "signature_delta", "signature": "signed"})
        case "text":
            empty = {"text": ""}
            deltas = [{"type": "text_delta", "text": word} for word in said.words]
        case _:
            empty = {"input": {}}
            given = json.dumps(block["input"])
            pieces = ("", given[:3], given[3:])
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return [
        _event("other", "content_block_start", index=index, content_block={**block, **empty}),
        *(_event("content", "content_block_delta", index=index, delta=delta) for delta in deltas),
        _event("other", "content_block_stop", index=index),
    ]


def _event(kind: Kind, name: str, **fields: object) -> Event:
    return Event(kind, {"type": name, **fields}, name)


def _why(said: Said) -> str:
    return "max_tokens" if said.cut else "tool_use" if said.calls else "end_turn"


def _input(given: str) -> object:
    """In this dialect arguments are no text: what is no JSON cannot be said."""
    try:
        return json.loads(given)
    except ValueError:
        return {"text": given}
