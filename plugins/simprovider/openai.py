"""The simulated provider's answers in OpenAI's dialect: chats, completions, embeddings. Pure."""

from __future__ import annotations

from typing import Any, Final

from aish.plugins.simprovider import script
from aish.plugins.simprovider.said import Event, Said
from aish.plugins.simprovider.script import Body

DONE: Final = b"[DONE]"
Fields = dict[str, Any]


def whole(said: Said, body: Body) -> Fields:
    chat = "messages" in body
    shown = {"message": _message(said)} if chat else {"text": said.text}
    choice = {"index": 0, **shown, "logprobs": None, "finish_reason": _why(said)}
    kind = "chat.completion" if chat else "text_completion"
    return {**_head(said, kind), "choices": [choice], **({"usage": usage(said)} if said.told else {})}


def events(said: Said, body: Body) -> list[Event]:
    chat = "messages" in body
    head = _head(said, "chat.completion.chunk" if chat else "text_completion")

    def event(kind: Any, part: Fields, why: str | None = None) -> Event:
        shown = {"delta": part} if chat else {"text": part.get("content", "")}
        return Event(kind, {**head, "choices": [{"index": 0, **shown, "logprobs": None, "finish_reason": why}]})

    found = [event("begin", {"role": "assistant", "content": ""})] if chat else []
    found += [event("content", {"reasoning_content": word}) for word in (said.thoughts if chat else ())]
    found += [event("content", {"content": word}) for word in said.words]
    for place, (tool, given) in enumerate(said.calls if chat else ()):
        head_part = {"index": place, "id": f"call_{said.turn}_{place}", "type": "function"}
        found.append(event("content", {"tool_calls": [{**head_part, "function": {"name": tool, "arguments": ""}}]}))
        for piece in (given[:3], given[3:]):
            part = {"index": place, "function": {"arguments": piece}}
            found.append(event("content", {"tool_calls": [part]}))
    found.append(event("why", {}, _why(said)))
    if said.told and (body.get("stream_options") or {}).get("include_usage"):
        found.append(Event("usage", {**head, "choices": [], "usage": usage(said)}))
    return [*found, Event("end", DONE)]


def embeddings(said: Said, body: Body) -> Fields:
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    data = [{"object": "embedding", "index": at, "embedding": [0.5, float(at)]} for at in range(len(texts))]
    told = {"usage": {"prompt_tokens": said.input, "total_tokens": said.input}} if said.told else {}
    return {"object": "list", "data": data, "model": said.model, **told}


def usage(said: Said) -> Fields:
    total = {}
    if isinstance(said.input, int) and isinstance(said.output, int):
        total = {"total_tokens": said.input + said.output}
    details: Fields = {"prompt_tokens_details": {"cached_tokens": 0}}
    if said.thoughts:
        details["completion_tokens_details"] = {"reasoning_tokens": len(said.thoughts)}
    return {"prompt_tokens": said.input, "completion_tokens": said.output, **total, **details}


def error(status: int, message: str) -> Fields:
    kinds = {400: "invalid_request_error", 401: "invalid_request_error", 429: "requests"}
    kind = kinds.get(status, "server_error")
    code = {429: "rate_limit_exceeded"}.get(status)
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def told_error(message: str) -> Event:
    """An error inside a stream."""
    return Event("other", error(500, message))


def models() -> Fields:
    return {"object": "list", "data": [{"id": "sim", "object": "model", "created": 1, "owned_by": "sim"}]}


def _head(said: Said, kind: str) -> Fields:
    return {"id": "chatcmpl-sim", "object": kind, "created": 1, "model": said.model}


def _message(said: Said) -> Fields:
    message: Fields = {"role": "assistant", "content": said.text, "refusal": None}
    if said.thoughts:
        message["reasoning_content"] = said.thought
    if said.calls:
        message["tool_calls"] = [
            {"id": f"call_{said.turn}_{place}", "type": "function", "function": {"name": tool, "arguments": given}}
            for place, (tool, given) in enumerate(said.calls)
        ]
    return message


def _why(said: Said) -> str:
    return "length" if said.cut else "tool_calls" if said.calls else "stop"


# --- llama.cpp's own ------------------------------------------------------------------------------------------------


def props(context: int, slots: int) -> Fields:
    caps = {"supports_tools": True}
    told = {"total_slots": slots, "chat_template": "", "chat_template_caps": caps}
    return {"default_generation_settings": {"n_ctx": context}, **told}


def tokenized(body: Body) -> Fields:
    texts = body["content"] if isinstance(body["content"], list) else [body["content"]]
    return {"tokens": list(range(sum(len(text.split()) for text in texts)))}


def counted(body: Body) -> Fields:
    return {"input_tokens": script.words(body)}
