"""OpenAI's dialect: only what the file sets is sent; every chunk means something or is told to be wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.agents.agent import Agent, Limits, Sampling, direct
from aish.agents.chat import read_chunk, request
from aish.agents.compose import around, joined, part, whole
from aish.agents.failure import AuthError, ContextError, from_response
from aish.errors import (
    AishError,
    BudgetError,
    InputError,
    LimitError,
    NotFoundError,
    UnavailableError,
    UpstreamError,
)


def test_a_plain_request_sets_nothing_that_a_server_could_refuse() -> None:
    body = json.loads(request(direct("smollm2"), [("user", "Hi")], None))
    assert body == {
        "model": "smollm2",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_full_request() -> None:
    agent = Agent("a", model="m", sampling=Sampling(0.0, 0.9, 7, ("END",), 0.5, -0.5), limits=Limits(9, 8, 7))
    body = json.loads(request(agent, [("system", "Be brief."), ("user", "Hi")], 8))
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (body["max_tokens"], body["temperature"], body["top_p"], body["seed"]) == (8, 0.0, 0.9, 7)
    assert (body["stop"], body["frequency_penalty"], body["presence_penalty"]) == (["END"], 0.5, -0.5)


def chunk(**choice: object) -> str:
    return json.dumps({"choices": [{"index": 0, **choice}]})


def test_chunks() -> None:
    assert read_chunk(chunk(delta={"content": "Hi"}, finish_reason=None)).text == "Hi"
    assert read_chunk(chunk(delta={"role": "assistant", "content": None})).text == ""
    assert read_chunk(chunk(delta={}, finish_reason="length")).finish == "length"
    assert read_chunk(chunk(message={"content": "whole"}, finish_reason="stop")).text == "whole"
    usage = read_chunk('{"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}')
    assert (usage.input_tokens, usage.output_tokens, usage.text) == (5, 2, "")
    assert read_chunk(chunk(delta={"content": "x"})).input_tokens is None, "unknown is not 0"
    assert read_chunk('{"choices": [], "usage": {"prompt_tokens": true}}').input_tokens is None


@pytest.mark.parametrize("word", ["delta", "message"])
def test_a_text_in_parts_is_the_text_of_its_parts(word: str) -> None:
    """Of servers that write so (Mistral's, when they reason) nothing was printed but what came as plain text."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    parts = [thought, {"type": "text", "text": "yes"}, {"type": "text", "text": 5}, "no part", {"type": "image"}]
    assert read_chunk(chunk(**{word: {"content": [*parts, {"type": "output_text", "text": " so"}]}})).text == "yes so"
    assert read_chunk(chunk(**{word: {"content": [thought]}})).text == ""
    assert read_chunk(chunk(**{word: {"content": {"text": "none of this"}}})).text == ""


@pytest.mark.parametrize(
    "data", ["", "nonsense", "[1]", "7", "null", "{}", '{"choices": "x"}', '{"choices": ["x"]}', "[" * 100_000]
)
def test_what_is_no_chunk_is_told(data: str) -> None:
    with pytest.raises(UpstreamError, match="not a chat chunk"):
        read_chunk(data)


def test_an_error_in_the_stream_has_the_servers_words() -> None:
    with pytest.raises(UpstreamError, match=r"broke off: out of memory$") as caught:
        read_chunk('{"error": {"message": "out\\nof memory", "code": 500}}')
    assert caught.value.status == 500
    with pytest.raises(UpstreamError, match="broke off: bad luck"):
        read_chunk('{"error": "bad luck"}')
    with pytest.raises(UpstreamError) as caught:
        read_chunk(json.dumps({"error": {"message": "\x1b[2J" + "x" * 5000}}))
    assert len(caught.value.message) < 400
    assert "\x1b" not in caught.value.message


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    ["choices", "delta", "content", "usage", "error", "prompt_tokens", "finish_reason", "x"]
                ),
                x,
            )
        ),
    )
)
def test_any_json_is_a_chunk_or_an_upstream_error(value: object) -> None:
    try:
        read_chunk(json.dumps(value))
    except UpstreamError:
        pass


FAILURES = [
    (401, {"error": {"message": "bad key"}}, AuthError, 77),
    (403, {"error": {"message": "not this model"}}, AuthError, 77),
    (402, {"error": {"message": "budget is used up"}}, BudgetError, 75),
    (404, {"error": {"message": "no model x"}}, NotFoundError, 69),
    (429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, UpstreamError, 69),
    (429, {"error": {"message": "no money", "code": "insufficient_quota"}}, BudgetError, 75),
    (413, {"error": {"message": "body too large"}}, LimitError, 75),
    (400, {"error": {"message": "bad temperature", "param": "temperature"}}, InputError, 65),
    (422, {"detail": "bad"}, InputError, 65),
    (500, {"error": {"message": "boom"}}, UpstreamError, 69),
    (503, b"<html>down</html>", UnavailableError, 69),
    (302, b"", UpstreamError, 69),
]


@pytest.mark.parametrize(("status", "body", "kind", "exit_status"), FAILURES)
def test_statuses(status: int, body: object, kind: type[AishError], exit_status: int) -> None:
    error = from_response(status, body if isinstance(body, bytes) else json.dumps(body).encode(), "x")
    assert type(error) is kind
    assert error.exit_status == exit_status
    assert error.message
    assert error.hint is not None or kind is InputError


def test_the_gateways_own_advice_is_not_followed_by_another() -> None:
    error = from_response(404, b'{"error": {"message": "no model smol (did you mean smollm2?)"}}', "smol")
    assert (error.message, error.hint) == ("no model smol (did you mean smollm2?)", None)


@pytest.mark.parametrize(
    ("body", "context"),
    [
        ({"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error", "n_ctx": 4096}}, 4096),
        ({"error": {"message": "too long", "code": "context_length_exceeded"}}, None),
        ({"error": {"message": "too long", "type": "exceed_context_size_error", "n_ctx": "many"}}, None),
    ],
)
def test_a_context_that_was_exceeded(body: object, context: int | None) -> None:
    error = from_response(400, json.dumps(body).encode(), "x")
    assert isinstance(error, ContextError)
    assert error.context_tokens == context


@given(st.integers(300, 599), st.binary(max_size=200))
def test_any_answer_makes_an_error_of_the_tree(status: int, body: bytes) -> None:
    error = from_response(status, body, "x")
    assert isinstance(error, AishError)
    assert error.message.isprintable()


def test_where_the_text_and_the_words_go() -> None:
    agent = Agent("a", instructions="Be brief.", prompt="{input}\n\nSummary:")
    system = ("system", "Be brief.")
    assert whole(agent, "text\n", "") == [system, ("user", "text\n\nSummary:")]
    assert whole(agent, "", "only words") == [system, ("user", "only words\n\nSummary:")]
    assert whole(agent, "text", "in German") == [system, ("user", "text\n\nSummary:\n\nin German")]
    asked = direct("m")
    assert whole(asked, "text", "Which language is this?") == [("user", "Which language is this?\n\ntext")]
    assert whole(asked, "", "Hi") == [("user", "Hi")]


def test_a_text_that_holds_the_mark_is_not_filled_in_again() -> None:
    agent = Agent("a", prompt="A {input} B")
    assert whole(agent, "x {input} y", "") == [("user", "A x {input} y B")]
    assert whole(direct("m"), "text", "say {input}") == [("user", "say {input}\n\ntext")]


def test_parts_and_their_answers_have_prompts_of_their_own() -> None:
    agent = Agent("a", prompt="P {input}")
    assert part(agent, "t", "") == [("user", "P t")]
    assert joined(agent, "t", "")[0][1].startswith("t\n\n")
    agent.map_reduce.chunk_prompt, agent.map_reduce.reduce_prompt = "C {input}", "R {input} R"
    assert part(agent, "t", "") == [("user", "C t")]
    assert joined(agent, "t", "w") == [("user", "R t R\n\nw")]
    assert "w" in around(agent, "w")
    assert len(around(agent, "w")) >= len("R  R\n\nw")
