"""OpenAI's dialect, pure: what is read of a request, what is rewritten, how errors look."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish import errors
from aish.errors import InputError
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.meter import Used

MESSAGES = [{"role": "user", "content": "hello"}]


def parsed(endpoint: str = openai.CHAT, **fields: object) -> openai.Call:
    base: dict[str, object] = {
        openai.CHAT: {"messages": MESSAGES},
        openai.COMPLETIONS: {"prompt": "hello"},
        openai.EMBEDDINGS: {"input": "hello"},
    }[endpoint]
    return openai.parse(endpoint, json.dumps({**base, **fields}).encode())


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, None),
        ({"max_tokens": None}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7, "max_tokens": 5}, 7),
        ({"n_predict": 9, "max_tokens": 5}, 9),
        ({"max_tokens": -1}, None),
        ({"max_tokens": 5, "n_predict": -1}, None),
        ({"max_tokens": 0}, 1),
        ({"max_tokens": 8.0}, 8),
        ({"max_tokens": 10**30}, openai.MOST_TOKENS),
    ],
)
def test_the_limit_is_the_most_that_any_field_allows(fields: dict[str, object], limit: int | None) -> None:
    assert parsed(**fields).max_output == limit


@pytest.mark.parametrize(
    ("endpoint", "fields", "copies"),
    [
        (openai.CHAT, {"n": 3}, 3),
        (openai.CHAT, {"n_cmpl": 4}, 4),
        (openai.COMPLETIONS, {"prompt": ["a", "b"], "n": 2}, 4),
        (openai.COMPLETIONS, {"prompt": ["a", "b", "c"], "best_of": 5, "n": 2}, 15),
        (openai.COMPLETIONS, {"prompt": [1, 2, 3]}, 1),
        (openai.COMPLETIONS, {"prompt": [[1, 2], [3]]}, 2),
        (openai.COMPLETIONS, {"prompt": []}, 1),
    ],
)
def test_answers_are_counted(endpoint: str, fields: dict[str, object], copies: int) -> None:
    assert parsed(endpoint, **fields).copies == copies


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": 5}, "model"),
        ({"stream": 1}, "stream"),
        ({"n": True}, "n"),
        ({"n": 10**30}, "n"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"stream_options": []}, "stream_options"),
    ],
)
def test_a_wrong_type_names_the_field(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as caught:
        parsed(**fields)
    assert caught.value.field == field


def test_the_prompt_s_bytes_bound_its_tokens() -> None:
    call = parsed(tools=[{"type": "function"}])
    assert call.tools
    assert call.prompt_bytes == len(json.dumps(MESSAGES)) + len(json.dumps([{"type": "function"}]))
    assert parsed(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]).parts == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(min_size=1).map(lambda name: f"x-{name}"), JSON, max_size=5), st.booleans())
def test_unknown_fields_pass_byte_for_byte(extra: dict[str, Any], stream: bool) -> None:
    call = parsed(stream=stream, **extra)
    sent = json.loads(openai.render(call, "inner", None))
    for name, value in extra.items():
        assert json.dumps(sent[name]) == json.dumps(value)
    assert sent["model"] == "inner"
    assert sent.get("stream_options") == ({"include_usage": True} if stream else None)


def test_stream_options_keep_what_the_client_wrote() -> None:
    call = parsed(stream=True, stream_options={"chunk": 3, "include_usage": False})
    assert json.loads(openai.render(call, None, None))["stream_options"] == {"chunk": 3, "include_usage": True}
    assert "stream_options" not in json.loads(openai.render(parsed(), None, None))


def test_a_limit_goes_into_every_field_that_is_there_else_into_the_given_one() -> None:
    sent = json.loads(openai.render(parsed(max_tokens=90, n_predict=-1), None, 5))
    assert (sent["max_tokens"], sent["n_predict"]) == (5, 5)
    assert json.loads(openai.render(parsed(), None, 5, "max_completion_tokens"))["max_completion_tokens"] == 5


@pytest.mark.parametrize(
    ("usage", "used"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}, Used(5, 6)),
        ({"prompt_tokens": 5, "total_tokens": 5}, Used(5, 0)),
        (
            {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 30},
            Used(5, 25),
        ),  # reasoning in the total only
        ({"prompt_tokens": -5, "completion_tokens": 6}, None),
        ({"prompt_tokens": "5"}, None),
        ({"prompt_tokens": 10**30}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_usage_is_the_server_s_or_nothing(usage: object, used: Used | None) -> None:
    assert openai.read(json.dumps({"usage": usage}).encode()).used == used


def test_the_text_of_an_answer_is_all_that_the_model_wrote() -> None:
    choice = {
        "message": {
            "content": "a",
            "reasoning_content": "b",
            "tool_calls": [{"function": {"name": "c", "arguments": "d"}}],
        }
    }
    assert sorted(openai.choice_text(json.dumps(choice).encode())) == ["a", "b", "c", "d"]
    assert openai.choice_text(b'{"text": "x"}') == "x"
    assert openai.choice_text(b"nonsense") == ""


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InputError("x", field="n"), 400, None),
        (errors.NotFoundError("x"), 404, "model_not_found"),
        (errors.RefusedError("x"), 403, "refused"),
        (errors.LimitError("x"), 413, "too_large"),
        (errors.UpstreamError("x"), 502, "upstream_error"),
        (errors.UpstreamError("x", status=504), 504, "upstream_error"),
        (errors.UnavailableError("x"), 503, "unavailable"),
        (errors.StorageError("x"), 503, "storage"),
        (errors.InternalError("x"), 500, "internal"),
    ],
)
def test_our_errors_have_openai_s_shape(error: errors.AishError, status: int, code: str | None) -> None:
    error.hint = "do y"
    told, body = openai.failure(error)
    shape = json.loads(body)["error"]
    assert (told, set(shape), shape["code"]) == (status, {"message", "type", "param", "code"}, code)
    assert shape["message"] == "x (do y)"


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error":{"message":"m","type":"t","code":400}}', "m", None),
        (b'{"error":{"message":"m","type":"t","code":"c","param":"p"}}', "m", "c"),
        (b'{"error":"m"}', "m", None),
        (b'{"detail":"m"}', "m", None),
        (b'{"detail":[{"loc":["body"]}]}', '[{"loc":["body"]}]', None),
        (b"<html>m</html>", "the server of x answered 400: <html>m</html>", None),
        (b"", "the server of x answered 400", None),
        (b"\xff\xfe", "the server of x answered 400: \ufffd\ufffd", None),
        (b'{"error":{"message":"m","type":"exceed_context_size_error"}}', "m", "context_length_exceeded"),
    ],
)
def test_a_server_s_error_gets_openai_s_shape(body: bytes, message: str, code: str | None) -> None:
    shape = json.loads(openai.upstream_failure(400, body, "x"))["error"]
    assert (shape["message"], shape["code"]) == (message, code)
    assert set(shape) >= {"message", "type", "param", "code"}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100), st.sampled_from(openai.ENDPOINTS))
def test_no_body_raises_anything_but_our_own_error(body: bytes, endpoint: str) -> None:
    for data in (body, b'{"messages":' + body + b"}", b'{"prompt":' + body + b"}", b'{"input":' + body + b"}"):
        try:
            openai.render(openai.parse(endpoint, data), "x", 5)
        except InputError:
            pass
        openai.upstream_failure(500, data, "x")
        try:
            openai.read(data)
        except InputError:
            pass
