"""The simulated provider's answers as OpenAI's Responses. Pure.

Source: platform.openai.com/docs/api-reference/responses-streaming.
"""

from __future__ import annotations

from typing import Any

from aish.plugins.simprovider.said import Event, Kind, Said

Fields = dict[str, Any]


def whole(said: Said) -> Fields:
    status = "incomplete" if said.cut else "completed"
    details = {"reason": "max_output_tokens"} if said.cut else None
    items = [_reasoning(said)] if said.thoughts else []
    items += [_message(said, status)] if said.words else []
    items += [_call(f"{said.turn}_{place}", tool, given) for place, (tool, given) in enumerate(said.calls)]
    return {**_begun(said), "status": status, "incomplete_details": details, "output": items, "usage": usage(said)}


def events(said: Said) -> list[Event]:
    told = _Told()
    begun, over = _begun(said), whole(said)
    told.add("begin", "response.created", response=begun)
    told.add("other", "response.in_progress", response=begun)
    for place, item in enumerate(over["output"]):
        _item(told, place, item, said)
    told.add("end", f"response.{over['status']}", response=over)
    return told.events


def usage(said: Said) -> Fields | None:
    if not said.told:
        return None
    total = {}
    if isinstance(said.input, int) and isinstance(said.output, int):
        total = {"total_tokens": said.input + said.output}
    return {
        "input_tokens": said.input,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": said.output,
        "output_tokens_details": {"reasoning_tokens": len(said.thoughts)},
        **total,
    }


def told_error(message: str) -> Event:
    """An error inside a stream."""
    fields = {"code": "server_error", "message": message, "param": None, "sequence_number": 0}
    return Event("other", {"type": "error", **fields}, "error")


class _Told:
    """Events, numbered as they come."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, kind: Kind, name: str, **fields: object) -> None:
        self.events.append(Event(kind, {"type": name, "sequence_number": len(self.events), **fields}, name))


def _item(told: _Told, place: int, item: Fields, said: Said) -> None:
    at = {"item_id": item["id"], "output_index": place}
    match item["type"]:
        case "reasoning":
            name, pieces, field = "response.reasoning_text", said.thoughts, "text"
            empty = {**item, "content": []}
        case "message":
            name, pieces, field = "response.output_text", said.words, "text"
            empty = {**item, "content": [], "status": "in_progress"}
        case _:
            given = item["arguments"]
            name, pieces, field = "response.function_call_arguments", [given[:3], given[3:]], "arguments"
            empty = {**item, "arguments": "", "status": "in_progress"}
    parts: Fields = {} if field == "arguments" else {"content_index": 0}
    more: Fields = {"logprobs": []} if item["type"] == "message" else {}
    told.add("other", "response.output_item.added", output_index=place, item=empty)
    if parts:
        begun = {**item["content"][0], "text": ""}
        told.add("other", "response.content_part.added", **at, **parts, part=begun)
    for piece in pieces:
        told.add("content", f"{name}.delta", **at, **parts, delta=piece, **more)
    told.add("other", f"{name}.done", **at, **parts, **{field: "".join(pieces)}, **more)
    if parts:
        told.add("other", "response.content_part.done", **at, **parts, part=item["content"][0])
    told.add("other", "response.output_item.done", output_index=place, item=item)


def _begun(said: Said) -> Fields:
    return {
        "id": f"resp_{said.id}",
        "object": "response",
        "created_at": 1,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": said.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": None,
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
        "user": None,
    }


def _reasoning(said: Said) -> Fields:
    content = [{"type": "reasoning_text", "text": said.thought}]
    return {"id": f"rs_sim_{said.turn}", "type": "reasoning", "summary": [], "content": content}


def _message(said: Said, status: str) -> Fields:
    part = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
    return {"id": f"msg_sim_{said.turn}", "type": "message", "role": "assistant", "status": status, "content": [part]}


def _call(place: str, tool: str, given: str) -> Fields:
    head = {"id": f"fc_{place}", "type": "function_call", "call_id": f"call_{place}", "name": tool}
    return {**head, "arguments": given, "status": "completed"}
