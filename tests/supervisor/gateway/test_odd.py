"""Answers as some servers of OpenAI's dialect write them: every client gets them as if they were plain."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aish.errors import UpstreamError
from aish.supervisor.gateway.dialects import chunk, odd
from aish.supervisor.gateway.dialects.paths import SERVED

THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}, {"type": "text", "text": "m"}]}
PARTS: list[Any] = [
    THOUGHT,
    {"type": "text", "text": "yes"},
    {"type": "image"},
    "no part",
    {"type": "text", "text": " so"},
]
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": {"city": "Rome"}}}
CLIENTS: dict[str, dict[str, Any]] = {
    "/messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    "/responses": {"model": "m", "input": "hi"},
    "/api/chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False},
}


def answer(word: str, **said: Any) -> bytes:
    choice = {"index": 0, word: {"role": "assistant", **said}, "finish_reason": "stop"}
    return json.dumps({"id": "c1", "model": "m", "choices": [choice]}).encode()


@pytest.mark.parametrize("word", ["delta", "message"])
def test_parts_are_one_text_and_its_thoughts(word: str) -> None:
    """Magistral's answers were none for whoever asked in another dialect."""
    (choice,) = chunk.read(answer(word, content=PARTS), "m").choices
    words = choice.delta or choice.message
    assert words is not None
    assert (words.content, words.thought) == ("yes so", "hmm")


@pytest.mark.parametrize("path", CLIENTS)
def test_clients_of_other_dialects_get_them(path: str) -> None:
    dialect = SERVED[path]
    call = dialect.parse(path, json.dumps(CLIENTS[path]).encode())
    told = dialect.answer(call, answer("message", content=PARTS, tool_calls=[CALL])).decode()
    for words in ("yes so", "hmm", "Rome"):
        assert words in told


def test_arguments_that_are_an_object_are_its_text() -> None:
    (choice,) = chunk.read(answer("message", tool_calls=[CALL]), "m").choices
    assert choice.message is not None
    (made,) = choice.message.tool_calls or ()
    assert made.function is not None
    assert json.loads(made.function.arguments or "") == {"city": "Rome"}


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"{}", b'{"choices": 5}', b'{"choices": [5, {"delta": 5}, {"delta": {"tool_calls": 5}}]}', b"\xff"]
    + [b'{"choices": [{"delta": {"content": {"a": 1}}}]}', b'{"choices": [{"delta": {"content": "plain"}}]}'],
)
def test_what_is_plain_or_none_of_this_is_left_alone(payload: bytes) -> None:
    assert odd.plain(payload) is None


@pytest.mark.parametrize("said", [{"content": {"a": 1}}, {"content": PARTS, "refusal": 5}])
def test_what_is_no_answer_all_the_same_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(UpstreamError, match="malformed answer"):
        chunk.read(answer("delta", **said), "m")
