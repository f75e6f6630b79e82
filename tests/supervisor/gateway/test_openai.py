"""OpenAI's dialect, pure: what is read of a reply, how errors look."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish import errors
from aish.errors import InputError
from aish.supervisor.gateway.dialects import chunk, openai, sse
from aish.supervisor.gateway.meter import Used


@pytest.mark.parametrize(
    ("usage", "used"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}, Used(5, 6)),
        ({"prompt_tokens": 5, "total_tokens": 5}, Used(5, 0)),
        (
            {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 30},
            Used(5, 25),
        ),  # reasoning in the total only
        (
            {"prompt_tokens": 5, "completion_tokens": 6, "prompt_cache_hit_tokens": 4},
            Used(5, 6, cached=4),
        ),  # DeepSeek
        ({"prompt_tokens": 5, "completion_tokens": 6, "cached_tokens": 9}, Used(5, 6, cached=5)),  # Moonshot
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 6,
                "prompt_tokens_details": {"cached_tokens": 3},
                "cached_tokens": 4,
            },
            Used(5, 6, cached=3),
        ),
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


ODD_FIGURES = [4.0, "4", {}, [4], True, -4, 10**30, None]


@pytest.mark.parametrize("odd", ODD_FIGURES)
@pytest.mark.parametrize("name", ["prompt_cache_hit_tokens", "cached_tokens", "prompt_tokens_details"])
def test_a_figure_of_the_cache_that_cannot_be_spoils_no_other(name: str, odd: object) -> None:
    """One of another type made all of the usage nonsense, and the request was estimated."""
    for told in (odd, {"cached_tokens": odd}):
        usage = {"prompt_tokens": 5, "completion_tokens": 6, name: told}
        usage["completion_tokens_details"] = {"reasoning_tokens": odd}
        assert openai.read(json.dumps({"usage": usage}).encode()).used == Used(5, 6)
        read = chunk.usage(msgspec.Raw(json.dumps(usage).encode()))
        assert read is not None
        assert (read.prompt_tokens, read.completion_tokens, read.cached, read.reasoning or 0) == (5, 6, 0, 0)


def test_a_figure_that_can_be_counts_beside_one_that_cannot() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 6, "prompt_cache_hit_tokens": "4", "cached_tokens": 3}
    assert openai.read(json.dumps({"usage": usage}).encode()).used == Used(5, 6, cached=3)
    read = chunk.usage(msgspec.Raw(json.dumps(usage).encode()))
    assert read is not None
    assert read.cached == 3


@pytest.mark.parametrize(
    ("body", "renamed"),
    [
        (
            b'{"id":"\\"model\\":","model":"in", "x":{"model":"in"}}',
            b'{"id":"\\"model\\":","model":"out", "x":{"model":"in"}}',
        ),
        (b'{"model": "in", "odd":1.50}', b'{"model": "out", "odd":1.50}'),
        (b'{"x":[{"model":"in"}],"model":"in","odd":1.50}', b'{"x":[{"model":"in"}],"model":"out","odd":1.50}'),
        (b'{"x":{"model":"in"},"model" : "in"}', b'{"x":{"model":"in"},"model":"out"}'),
        (b'{"model":"else","x":{"model":"in"}}', None),
        (b'{"x":{"model":"in"}}', None),
        (b'{"x":["model"]}', None),
        (b'{"x":{"model":"in"},"model":', None),
        (b"[]", None),
    ],
)
def test_only_the_reply_s_own_name_is_put_back(body: bytes, renamed: bytes | None) -> None:
    """What is deeper may be the input of a tool, which the model wrote."""
    assert openai.rename("in", "out", body) == (body if renamed is None else renamed)
    outer = b'{"model":"in","x":5,"message":' + body + b"}"
    there = outer if renamed is None else outer.replace(body, renamed)
    assert openai.rename("in", "out", outer, "message") == there


def test_an_event_on_several_lines_stays_one() -> None:
    data = b'{"x":\n{"model":"in"},\n"model":"in"}'
    event = b"event: e\n" + b"\n".join(b"data: " + line for line in data.split(b"\n"))
    found = sse.renamed(event, data, "in", "out")
    assert found.startswith(b"event: e\ndata: ")
    assert json.loads(sse.payload(found) or b"") == {"x": {"model": "in"}, "model": "out"}


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
        (b'[{"error":{"message":"m","code":400,"status":"INVALID_ARGUMENT"}}]', "m", None),  # Gemini's
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
@given(st.binary(max_size=100))
def test_no_reply_raises_anything_but_our_own_error(body: bytes) -> None:
    for data in (body, b'{"choices":' + body + b"}", b'{"error":' + body + b"}"):
        openai.upstream_failure(500, data, "x")
        openai.error_status(data)
        try:
            openai.read(data)
        except InputError:
            pass
