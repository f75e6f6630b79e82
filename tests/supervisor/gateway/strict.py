"""Whether what a client got is right in its dialect, from the first byte to the last: an answer, or an error. Strict.

Each checker raises AssertionError for what no client should have to read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

UNKNOWN = "sim.new"
"""The kind of what a server sends that nobody knows: where bytes pass, it passes."""


@dataclass(slots=True)
class Told:
    """What a client has in the end. `input`, `output`: as it was told."""

    text: str = ""
    error: str | None = None
    input: object = None
    output: object = None


Check = Callable[[bytes, str], Told]
"""Of a body, and the name by which the client knows the model."""


# --- parts ----------------------------------------------------------------------------------------------------------


def events(body: bytes) -> list[tuple[str | None, str]]:
    """(event, data) of a stream that is right by the HTML standard, and ends with a whole event."""
    text = plain(body).decode()
    assert text == "" or re.search(r"(\r\n|\n|\r){2}$", text), (
        f"the stream ends in the middle of an event: {text[-99:]!r}"
    )
    found: list[tuple[str | None, str]] = []
    name: str | None = None
    data: list[str] = []
    for line in re.split(r"\r\n|\n|\r", text):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "" if line == "":
                if data:
                    found.append((name, "\n".join(data)))
                name, data = None, []
            case "event":
                name = value
            case "data" if line != "data":
                data.append(value)
            case _:
                pass  # a comment, or a field that nobody knows
    return found


def plain(data: bytes) -> bytes:
    """Without the fields that are there to be deep or many: what parses them here is no better than a client."""
    for begin, end in ((b'"deep":', b"]"), (b'"f0":', b'"f999999": 0')):
        start = data.find(begin)
        if start < 0:
            continue
        if end == b"]":
            stop = start + len(begin) + re.match(rb"[\[\] ]*", data[start + len(begin) :]).end()  # type: ignore[union-attr]
        else:
            found = re.search(rb'"f999999":\s*0', data)
            assert found is not None
            stop = found.end()
        data = data[:start] + data[stop:].lstrip(b", ")
    return data


def object_(data: str | bytes) -> dict[str, Any]:
    found = json.loads(data, strict=False)
    assert isinstance(found, dict), found
    return found


def own(found: list[tuple[str | None, str]]) -> list[tuple[str | None, str]]:
    """Without events of a kind that nobody knows, or that is none."""
    return [(name, data) for name, data in found if UNKNOWN not in data and '"type": 5' not in data]


def openai_error(told: dict[str, Any]) -> str:
    error = told["error"]
    assert set(error) >= {"message", "type", "param", "code"}, error
    assert isinstance(error["message"], str)
    assert isinstance(error["type"], str)
    assert error["message"]
    return str(error["message"])


# --- OpenAI's -------------------------------------------------------------------------------------------------------


def chat_whole(body: bytes, model: str) -> Told:
    return _whole(body, model, "chat.completion", lambda choice: choice["message"]["content"])


def completion_whole(body: bytes, model: str) -> Told:
    return _whole(body, model, "text_completion", lambda choice: choice["text"])


def _whole(body: bytes, model: str, kind: str, text: Callable[[dict[str, Any]], str]) -> Told:
    told = object_(plain(body))
    if "error" in told:
        return Told(error=openai_error(told))
    assert (told["object"], told["model"]) == (kind, model), told
    (choice,) = told["choices"]
    assert choice["index"] == 0
    assert choice["finish_reason"] in ("stop", "length"), choice
    usage = told.get("usage") or {}
    return Told(text(choice), None, usage.get("prompt_tokens"), usage.get("completion_tokens"))


def chat_stream(body: bytes, model: str) -> Told:
    return _chunks(body, model, "chat.completion.chunk", lambda choice: choice["delta"].get("content") or "")


def completion_stream(body: bytes, model: str) -> Told:
    return _chunks(body, model, "text_completion", lambda choice: choice["text"])


def _chunks(body: bytes, model: str, kind: str, text: Callable[[dict[str, Any]], str]) -> Told:
    told = Told()
    found = own(events(body))
    assert found, "an empty stream"
    reasons = 0
    for place, (_, data) in enumerate(found):
        last = place == len(found) - 1
        if data == "[DONE]":
            assert last, "something comes behind the end"
            assert reasons == 1 or place == 0, f"{reasons} finish_reasons"
            return told
        chunk = object_(data)
        if "error" in chunk:
            assert last, "something comes behind an error"
            told.error = openai_error(chunk)
            return told
        assert (chunk["object"], chunk["model"]) == (kind, model), chunk
        assert isinstance(chunk["id"], str)
        assert isinstance(chunk["created"], int)
        for choice in chunk["choices"]:
            assert choice["index"] == 0
            assert not reasons, "words behind the finish_reason"
            reasons += choice["finish_reason"] is not None
            told.text += text(choice)
        if chunk.get("usage"):
            told.input, told.output = chunk["usage"].get("prompt_tokens"), chunk["usage"].get("completion_tokens")
    raise AssertionError("the stream has no end")


def embeddings(body: bytes, model: str) -> Told:
    told = object_(plain(body))
    if "error" in told:
        return Told(error=openai_error(told))
    assert (told["object"], told["model"]) == ("list", model), told
    assert [item["embedding"] for item in told["data"]] == [[0.5, 0.0]]
    return Told("", None, (told.get("usage") or {}).get("prompt_tokens"))


# --- OpenAI's responses ---------------------------------------------------------------------------------------------


def response_whole(body: bytes, model: str) -> Told:
    told = object_(plain(body))
    if told.get("object") != "response":
        return Told(error=openai_error(told))
    assert told["status"] in ("completed", "incomplete"), told
    return _response(told, model)


def _response(told: dict[str, Any], model: str) -> Told:
    assert told["model"] == model, told
    text = ""
    for item in told["output"]:
        assert item["type"] in ("message", "reasoning", "function_call"), item
        for part in item.get("content", ()):
            text += part["text"] if part["type"] == "output_text" else ""
    usage = told["usage"] or {}
    return Told(text, None, usage.get("input_tokens"), usage.get("output_tokens"))


def response_stream(body: bytes, model: str) -> Told:
    found = own(events(body))
    assert found, "an empty stream"
    open_: dict[str, Any] | None = None
    parts: list[str] = []
    items: list[dict[str, Any]] = []
    error: str | None = None
    number = -1
    for place, (name, data) in enumerate(found):
        event, last = object_(data), place == len(found) - 1
        assert event["type"] == name, (name, data)
        if name != "error":
            assert event["sequence_number"] > number, (number, event)
            number = event["sequence_number"]
        match name:
            case "response.created":
                assert place == 0
                assert event["response"]["status"] == "in_progress"
            case "response.in_progress":
                assert place == 1
            case "response.output_item.added":
                assert open_ is None, "an item begins inside another"
                open_, parts = event["item"], []
                assert event["output_index"] == len(items)
            case "response.output_text.delta":
                assert open_ is not None
                assert event["item_id"] == open_["id"]
                parts.append(event["delta"])
            case "response.output_text.done":
                assert event["text"] == "".join(parts)
            case "response.output_item.done":
                assert open_ is not None
                assert event["item"]["id"] == open_["id"]
                items.append(event["item"])
                open_ = None
            case "response.completed" | "response.incomplete":
                assert last
                assert open_ is None
                assert error is None
                assert place == 0 or event["response"]["output"] == items
                assert event["response"]["status"] == name.removeprefix("response.")
                return _response(event["response"], model)
            case "response.failed":
                assert last
                assert event["response"]["status"] == "failed"
                message = event["response"]["error"]["message"]
                assert error in (None, message)
                return Told("".join(parts), message)
            case "error":
                error = event["message"]
                assert error
                if last:  # where bytes pass, that may be all
                    return Told("".join(parts), error)
            case _:
                assert (name or "").startswith("response."), name
    raise AssertionError("the stream has no end")


# --- Anthropic's ----------------------------------------------------------------------------------------------------


def anthropic_error(told: dict[str, Any]) -> str:
    assert told["type"] == "error"
    assert str(told["error"]["type"]).endswith("_error"), told
    assert told["error"]["message"]
    return str(told["error"]["message"])


def message_whole(body: bytes, model: str) -> Told:
    told = object_(plain(body))
    if told.get("type") == "error":
        return Told(error=anthropic_error(told))
    assert (told["type"], told["role"], told["model"]) == ("message", "assistant", model), told
    assert told["stop_reason"] in ("end_turn", "max_tokens"), told
    usage = told.get("usage") or {}
    text = "".join(block["text"] for block in told["content"] if block["type"] == "text")
    return Told(text, None, usage.get("input_tokens"), usage.get("output_tokens"))


def message_stream(body: bytes, model: str) -> Told:
    told = Told()
    found = own(events(body))
    assert found, "an empty stream"
    open_: int | None = None
    blocks, why, begun = 0, None, False
    for place, (name, data) in enumerate(found):
        event, last = object_(data), place == len(found) - 1
        assert event["type"] == name, (name, data)
        match name:
            case "ping":
                pass
            case "error":
                assert last, "something comes behind an error"
                told.error = anthropic_error(event)
                return told
            case "message_start":
                assert not begun
                begun = True
                assert event["message"]["model"] == model
                assert event["message"]["content"] == []
                told.input = (event["message"].get("usage") or {}).get("input_tokens")
            case "content_block_start":
                assert begun
                assert open_ is None
                assert event["index"] == blocks
                open_, blocks = blocks, blocks + 1
            case "content_block_delta":
                assert event["index"] == open_
                told.text += event["delta"].get("text", "")
            case "content_block_stop":
                assert event["index"] == open_
                open_ = None
            case "message_delta":
                assert open_ is None
                why = event["delta"].get("stop_reason") or why
                usage = event.get("usage") or {}
                told.output = usage.get("output_tokens")
                told.input = usage.get("input_tokens", told.input)
            case "message_stop":
                assert last, "something comes behind the end"
                assert why is not None or not begun
                return told
            case _:
                raise AssertionError(name)
    raise AssertionError("the stream has no end")


# --- Ollama's -------------------------------------------------------------------------------------------------------


def ollama_whole(body: bytes, model: str) -> Told:
    return _line(object_(plain(body)), model, over=True)


def ollama_stream(body: bytes, model: str) -> Told:
    assert body.endswith(b"\n"), "the stream ends in the middle of a line"
    text = ""
    lines = body[:-1].split(b"\n")
    for place, line in enumerate(lines):
        told = _line(object_(line), model, over=place == len(lines) - 1)
        text += told.text
    told.text = text
    return told


def _line(told: dict[str, Any], model: str, *, over: bool) -> Told:
    if "error" in told:
        assert over, "something comes behind an error"
        assert isinstance(told["error"], str)
        assert told["error"]
        return Told(error=told["error"])
    assert (told["model"], told["done"]) == (model, over), told
    assert isinstance(told["created_at"], str)
    text = told["message"]["content"] if "message" in told else told["response"]
    if over:
        assert told["done_reason"] in ("stop", "length")
        assert isinstance(told["prompt_eval_count"], int)
        assert isinstance(told["eval_count"], int)
    return Told(text, None, told.get("prompt_eval_count"), told.get("eval_count"))


def ollama_embed(body: bytes, model: str) -> Told:
    told = object_(plain(body))
    if "error" in told:
        return Told(error=told["error"])
    assert told["model"] == model
    assert told["embeddings"] == [[0.5, 0.0]]
    return Told("", None, told["prompt_eval_count"])


# --- Gemini's -------------------------------------------------------------------------------------------------------


def content_whole(body: bytes, model: str) -> Told:
    return _content(object_(plain(body)), model, over=True)


def content_stream(body: bytes, model: str) -> Told:
    told = Told()
    found = events(body)
    assert found, "an empty stream"
    for place, (name, data) in enumerate(found):
        assert name is None
        part = _content(object_(data), model, over=place == len(found) - 1)
        told = Told(told.text + part.text, part.error, part.input, part.output)
    return told


def _content(told: dict[str, Any], model: str, *, over: bool) -> Told:
    if "error" in told:
        assert over, "something comes behind an error"
        assert isinstance(told["error"]["code"], int)
        assert told["error"]["status"].isupper()
        assert told["error"]["message"]
        return Told(error=told["error"]["message"])
    assert told["modelVersion"] == model
    (candidate,) = told["candidates"]
    assert candidate["content"]["role"] == "model"
    assert ("finishReason" in candidate) == over
    text = "".join(part.get("text", "") for part in candidate["content"]["parts"] if not part.get("thought"))
    if not over:
        return Told(text)
    usage = told["usageMetadata"]
    made = usage["candidatesTokenCount"] + usage.get("thoughtsTokenCount", 0)
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + made
    return Told(text, None, usage["promptTokenCount"], made)
