"""From the events of a stream to the answer that a client without a stream gets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aish.errors import UpstreamError
from aish.supervisor.gateway.dialects.assemble import MAX_CALLS, Assembly
from aish.supervisor.gateway.meter import Used

BOUND = 1 << 20


def assembly(*, chat: bool = True, choices: int = 1, most_bytes: int = BOUND) -> Assembly:
    return Assembly("small", chat=chat, most_choices=choices, most_bytes=most_bytes)


def event(*choices: dict[str, Any], **more: object) -> bytes:
    head = {"id": "c1", "created": 7, "model": "small", "system_fingerprint": "b1"}
    return b"data: " + json.dumps({"choices": choices, **head, **more}).encode() + b"\n\n"


def delta(index: int = 0, finish: str | None = None, **fields: object) -> dict[str, Any]:
    return {"index": index, "finish_reason": finish, "delta": fields}


def test_the_parts_are_joined_and_the_last_figures_count() -> None:
    made = assembly()
    made.feed(event(delta(role="assistant", content=None)) + event(delta(reasoning_content="hm")))
    made.feed(event(delta(content="a \u20ac"), timings={"prompt_n": 3, "cache_n": 2, "predicted_n": 1}))
    assert made.worked.used() == Used(5, 1)
    made.feed(event(delta(content="b")) + event(delta(finish="stop")))
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 3,
        "total_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    made.feed(event(usage=usage, timings={"prompt_n": 3, "cache_n": 2, "predicted_n": 3}) + b"data: [DONE]\n\n")
    assert json.loads(made.answer()) == {
        "id": "c1",
        "object": "chat.completion",
        "created": 7,
        "model": "small",
        "system_fingerprint": "b1",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "a \u20acb", "reasoning_content": "hm"},
            }
        ],
        "usage": usage,
        "timings": {"prompt_n": 3, "cache_n": 2, "predicted_n": 3},
    }
    assert made.worked.used() == Used(5, 3)


def test_tool_calls_grow_in_their_places() -> None:
    made = assembly()
    first = {"index": 0, "id": "t0", "type": "function", "function": {"name": "f", "arguments": ""}}
    made.feed(event(delta(tool_calls=[first])))
    made.feed(event(delta(tool_calls=[{"index": 1, "id": "t1", "function": {"name": "g", "arguments": "{}"}}])))
    made.feed(event(delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a":'}}])))
    made.feed(event(delta(tool_calls=[{"index": 0, "function": {"arguments": "1}"}}], finish="tool_calls")))
    (choice,) = json.loads(made.answer())["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == ""
    assert choice["message"]["tool_calls"] == [
        {"id": "t0", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "t1", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


def test_several_answers_are_told_apart_and_their_figures_summed() -> None:
    made = assembly(chat=False, choices=2)
    for index, text in ((1, "x"), (0, "a"), (1, "y"), (0, "b")):
        made.feed(event({"index": index, "text": text, "logprobs": None, "finish_reason": None}))
    made.feed(event(delta(1, "stop"), timings={"prompt_n": 2, "predicted_n": 3}))
    made.feed(event({"index": 0, "text": "", "finish_reason": "length"}))
    made.feed(event(timings={"prompt_n": 4, "predicted_n": 5}))
    answer = json.loads(made.answer())
    assert answer["object"] == "text_completion"
    assert [(c["index"], c["text"], c["finish_reason"], c["logprobs"]) for c in answer["choices"]] == [
        (0, "ab", "length", None),
        (1, "xy", "stop", None),
    ]
    assert made.worked.used() == Used(6, 8)


def test_logprobs_are_joined() -> None:
    made = assembly()
    for token in ("a", "b"):
        made.feed(event({**delta(content=token), "logprobs": {"content": [{"token": token, "logprob": -0.5}]}}))
    made.feed(event({**delta(finish="stop"), "logprobs": None}))
    (choice,) = json.loads(made.answer())["choices"]
    assert [token["token"] for token in choice["logprobs"]["content"]] == ["a", "b"]


def test_an_error_is_kept_and_there_is_no_answer() -> None:
    made = assembly()
    made.feed(event(delta(content="a")))
    made.feed(b'data: {"error":{"code":503,"message":"gone"}}\n\n')
    assert made.error == b'{"error":{"code":503,"message":"gone"}}'


@pytest.mark.parametrize(
    ("events", "why"),
    [
        (event(delta(0)) + event(delta(1)), "more answers"),
        (event(delta(tool_calls=[{"index": n} for n in range(MAX_CALLS + 1)])), "tool calls"),
        (event(delta(content="x" * BOUND)), "more than an answer may have"),
        (b'data: {"choices":5}\n\n', "malformed"),
        (event(delta(content=5)), "malformed"),
        (event(delta(content="a"), timings=[]), "malformed"),
        (b"data: " + b'{"choices":' * 50_000 + b"\n\n", "malformed"),
        (b": a comment\n\ndata: [DONE]\n\n", "without an answer"),
    ],
)
def test_what_cannot_be_put_together_is_the_server_s_fault(events: bytes, why: str) -> None:
    made = assembly()

    def put_together() -> None:
        made.feed(events)
        made.answer()

    with pytest.raises(UpstreamError, match=why):
        put_together()


def test_absurd_figures_are_bounded() -> None:
    made = assembly()
    made.feed(event(delta(content="a"), timings={"prompt_n": -5, "predicted_n": 10**18}))
    assert made.worked.used() == Used(0, 1 << 40)
