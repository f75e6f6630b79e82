"""Parts of an answer in OpenAI's dialect: which call a piece belongs to, whatever the server numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aish.supervisor.gateway.dialects.paths import SERVED

Pieces = list[list[dict[str, Any]]]


def piece(index: int | None = None, id: str | None = None, name: str | None = None, arguments: str = "") -> Any:
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    told = {"index": index, "id": id}
    return {"function": function, **{word: value for word, value in told.items() if value is not None}}


UNNUMBERED: dict[str, Pieces] = {
    "all of one number": [[piece(0, "a", "f", '{"x": 1}')], [piece(0, "b", "g", '{"y": 2}')]],
    "no numbers": [[piece(None, "a", "f", '{"x": 1}'), piece(None, "b", "g", '{"y": 2}')]],
    "no ids either": [[piece(None, None, "f", '{"x": 1}')], [piece(None, "", "g", '{"y": 2}')]],
    "in pieces": [
        [piece(0, "a", "f")],
        [piece(0, None, None, '{"x"')],
        [piece(0, None, None, ": 1}")],
        [piece(0, "b", "g", '{"y"')],
        [piece(0, None, None, ": 2}")],
    ],
}
REPEATED: Pieces = [
    [piece(0, "a", "f", '{"x"')],
    [piece(0, "a", "f", ": 1}")],
    [piece(1, "b", "g", '{"y": 2}')],
    [piece(1, None, "g")],
]
"""Some servers say name and id with every piece, or a name behind the last one."""


def stream(pieces: Pieces) -> bytes:
    choices: list[Any] = [{"index": 0, "delta": {"tool_calls": calls}} for calls in pieces]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    events = [b"data: " + json.dumps({"model": "m", "choices": [choice]}).encode() for choice in choices]
    return b"\n\n".join([*events, b"data: [DONE]\n\n"])


def told(path: str, asked: dict[str, Any], pieces: Pieces) -> list[Any]:
    """The objects of a client's stream."""
    dialect = SERVED[path]
    call = dialect.parse(path, json.dumps({"model": "m", "stream": True, **asked}).encode())
    lines = dialect.writer(call).feed(stream(pieces)).decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if "{" in line]


def called(path: str, pieces: Pieces) -> list[tuple[str, Any]]:
    """Name and arguments of each call, as the client has them in the end."""
    said = {"messages": [{"role": "user", "content": "x"}]}
    match path:
        case "/messages":
            names: list[str] = []
            parts: dict[int, str] = {}
            for event in told(path, {**said, "max_tokens": 9}, pieces):
                if event["type"] == "content_block_start":
                    names.append(event["content_block"]["name"])
                if event["type"] == "content_block_delta":
                    parts[event["index"]] = parts.get(event["index"], "") + event["delta"]["partial_json"]
            return [(name, json.loads(parts[place])) for place, name in enumerate(names)]
        case "/responses":
            items = told(path, {"input": "x"}, pieces)[-1]["response"]["output"]
            return [(item["name"], json.loads(item["arguments"])) for item in items]
        case _:
            calls = told(path, said, pieces)[0]["message"]["tool_calls"]
            return [(call["function"]["name"], call["function"]["arguments"]) for call in calls]


@pytest.mark.parametrize("path", ["/messages", "/responses", "/api/chat"])
@pytest.mark.parametrize("pieces", [*UNNUMBERED.values(), REPEATED], ids=[*UNNUMBERED, "repeated"])
def test_calls_that_a_server_does_not_number_are_not_glued_together(path: str, pieces: Pieces) -> None:
    """As Gemini's and older servers of Ollama's tell them: two calls came out as one whose arguments were no JSON."""
    assert called(path, pieces) == [("f", {"x": 1}), ("g", {"y": 2})]
