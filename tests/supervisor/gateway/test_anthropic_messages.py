"""From Anthropic's request to OpenAI's: what is translated, what is refused, and that nothing else can happen."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.errors import InputError, UpstreamError
from aish.supervisor.gateway.dialects.anthropic import answer, failure, head
from aish.supervisor.gateway.dialects.anthropic.messages import to_chat
from aish.supervisor.gateway.dialects.call import Call

HELLO: Any = [{"role": "user", "content": "hello"}]


def call(**fields: Any) -> Call:
    body = {"model": "m", "max_tokens": 10, "messages": HELLO, **fields}
    return parse(json.dumps(body).encode())


def parse(body: bytes) -> Call:
    return to_chat(head.parse(head.MESSAGES, body))


def sent(**fields: Any) -> dict[str, Any]:
    return {name: json.loads(bytes(raw)) for name, raw in call(**fields).fields.items()}


def said(*content: Any, role: str = "user") -> Any:
    """The messages that these contents become."""
    return sent(messages=[{"role": role, "content": each} for each in content])["messages"]


def test_fields_that_mean_the_same() -> None:
    assert sent(
        system=[{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "b"}],
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["END"],
        metadata={"user_id": "u1"},
        stream=True,
        thinking={"type": "adaptive"},
        service_tier="auto",
        context_management={"edits": []},
    ) == {
        "model": "m",
        "max_tokens": 10,
        "messages": [{"role": "system", "content": "a\nb"}, {"role": "user", "content": "hello"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "stop": ["END"],
        "user": "u1",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_what_the_gateway_reads_of_it() -> None:
    found = call(stream=True, tools=[{"name": "t", "input_schema": {}}])
    assert (found.model, found.stream, found.wants_usage, found.max_output, found.copies) == ("m", True, True, 10, 1)
    assert found.tools


@pytest.mark.parametrize(
    ("choice", "becomes"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        ({"type": "tool", "name": "t"}, {"tool_choice": {"type": "function", "function": {"name": "t"}}}),
        (
            {"type": "any", "disable_parallel_tool_use": True},
            {"tool_choice": "required", "parallel_tool_calls": False},
        ),
    ],
)
def test_tool_choice(choice: Any, becomes: Any) -> None:
    found = sent(tools=[{"name": "t", "description": "d", "input_schema": {"type": "object"}}], tool_choice=choice)
    assert found["tools"] == [
        {"type": "function", "function": {"name": "t", "description": "d", "parameters": {"type": "object"}}}
    ]
    assert {name: found[name] for name in ("tool_choice", "parallel_tool_calls") if name in found} == becomes


@pytest.mark.parametrize("field", ["output_config", "output_format"])
def test_an_answer_in_json(field: str) -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    found = sent(**{field: {"format": form} if field == "output_config" else form})
    assert found["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
    }


def test_text_in_blocks_is_one_text() -> None:
    document = {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "d"}}
    result = {"type": "search_result", "source": "s", "title": "R", "content": [{"type": "text", "text": "c"}]}
    assert said([{"type": "text", "text": "a"}, document, result]) == [
        {"role": "user", "content": "a\nT\nd\nR\ns\nc"}
    ]


def test_turns_alternate() -> None:
    """Two messages of a user in a row are one, as Anthropic's own servers take them."""
    image = {"type": "image", "source": {"type": "url", "url": "http://x/y.png"}}
    assert said("a", "b") == [{"role": "user", "content": "a\nb"}]
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "http://x/y.png"}}]
    assert said("a", [image]) == [{"role": "user", "content": parts}]


def test_results_of_tools_come_first_and_their_images_with_the_user_s_words() -> None:
    use = {"type": "tool_use", "id": "t1", "name": "look", "input": {"n": 1.50, "deep": {"a": []}}}
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "seen"}, image]}
    empty = {"type": "tool_result", "tool_use_id": "t2"}
    found = sent(
        messages=[
            {"role": "assistant", "content": [thought, {"type": "text", "text": "so"}, use]},
            {"role": "user", "content": [{"type": "text", "text": "and?"}, result, empty]},
        ]
    )["messages"]
    function = {"name": "look", "arguments": '{"n": 1.5, "deep": {"a": []}}'}
    assert found == [
        {
            "role": "assistant",
            "content": "so",
            "tool_calls": [{"id": "t1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "seen"},
        {"role": "tool", "tool_call_id": "t2", "content": ""},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "and?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0"),
        ({"messages": [*HELLO, {"role": "user", "content": [{"type": "server_tool_use"}]}]}, "messages.1.content.0"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": {}}]}]},
            "messages.0.content",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_result", "tool_use_id": "a"}]}]},
            "messages.0.content",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "document",
                                "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="},
                            }
                        ],
                    }
                ]
            },
            "messages.0.content",
        ),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type"),
        ({"tools": [{"type": "robot", "name": "t"}]}, "tools.0.type"),
        ({"tools": [{"name": "t"}], "tool_choice": {"type": "tool"}}, "tool_choice"),
        (
            {
                "tools": [{"name": "t"}, {"type": "web_search_20250305", "name": "search"}],
                "tool_choice": {"type": "tool", "name": "search"},
            },
            "tool_choice",
        ),
        ({"mcp_servers": [{"url": "http://x"}]}, "mcp_servers"),
        ({"container": "c1"}, "container"),
        ({"output_config": {"format": {"type": "xml", "schema": {}}}}, "output_config"),
        ({"model": "m" * 300}, "model"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_place(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        call(**fields)
    assert caught.value.field == field


def test_a_vendors_tool_beside_others_is_left_out_and_told() -> None:
    """Whoever offers a search of the web with every request would be shut out of all other servers."""
    chat = call(tools=[{"type": "web_search_20250305", "name": "web_search"}, {"name": "own"}])
    assert [tool["function"]["name"] for tool in json.loads(bytes(chat.fields["tools"]))] == ["own"]
    assert chat.left_out == ("web_search_20250305",)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"messages":' + b"[" * 100_000])
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(InputError):
        parse(body)


def test_a_body_that_would_be_many_times_as_large_as_objects_is_refused() -> None:
    """Fault: 64 MiB of empty blocks were gigabytes."""
    blocks = b",".join([b'{"type":"text","text":""}'] * 700_000)
    with pytest.raises(InputError, match="more inside than can be looked at"):
        parse(b'{"max_tokens":1,"messages":[{"role":"user","content":[' + blocks + b"]}]}")


NAMES = st.sampled_from(["type", "text", "source", "content", "role"]) | st.text(max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["messages", "system", "tools", "tool_choice", "max_tokens", "stream", "output_config"]),
        VALUES,
    )
)
def test_nothing_but_a_refusal_comes_of_any_json(fields: dict[str, Any]) -> None:
    with contextlib.suppress(InputError):
        call(**fields)


# --- answers --------------------------------------------------------------------------------------------------------


def chunk(**choice: Any) -> bytes:
    return b"data: " + json.dumps({"model": "m", "choices": [{"index": 0, **choice}]}).encode() + b"\n\n"


def events(out: bytes) -> list[dict[str, Any]]:
    found = []
    for event in out.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        payload = json.loads(data.removeprefix("data: "))
        assert name == f"event: {payload['type']}"
        found.append(payload)
    return found


def test_the_events_of_a_stream() -> None:
    writer = answer.Events(call(stream=True))
    out = writer.feed(chunk(delta={"role": "assistant", "content": ""}))
    out += writer.feed(chunk(delta={"content": "he"}) + b": keep-alive\n\n" + chunk(delta={"content": "y"}))
    out += writer.feed(
        chunk(delta={"tool_calls": [{"index": 0, "id": "c0", "function": {"name": "f", "arguments": ""}}]})
    )
    out += writer.feed(chunk(delta={"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}))
    out += writer.feed(chunk(delta={}, finish_reason="tool_calls"))
    usage = {"prompt_tokens": 5, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3}}
    out += writer.feed(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n")
    out += writer.feed(b"data: [DONE]\n\n")
    found = events(out)
    assert [event["type"] for event in found] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "ping",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert [event["index"] for event in found if "index" in event] == [0, 0, 0, 0, 1, 1, 1]
    assert found[7]["content_block"] == {"type": "tool_use", "id": "c0", "name": "f", "input": {}}
    assert found[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert found[-2]["usage"] == {
        "input_tokens": 2,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 3,
        "output_tokens": 4,
    }


def test_a_stream_without_usage_tells_a_likely_number() -> None:
    writer = answer.Events(call(stream=True))
    found = events(writer.feed(chunk(delta={"content": "eight is"}) + b"data: [DONE]\n\n"))
    assert found[-2]["usage"]["output_tokens"] == 2
    assert found[-2]["usage"]["input_tokens"] > 0


def test_a_tool_call_that_goes_on_behind_words_is_a_fault_of_the_server() -> None:
    writer = answer.Events(call(stream=True))
    piece: Any = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}
    writer.feed(chunk(delta={"tool_calls": [piece]}) + chunk(delta={"content": "so"}))
    with pytest.raises(UpstreamError, match="out of order"):
        writer.feed(chunk(delta={"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}))


@pytest.mark.parametrize(
    ("told", "reason"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal"), ("odd", "end_turn")],
)
def test_stop_reasons(told: str, reason: str) -> None:
    body = {"model": "m", "choices": [{"message": {"content": "x"}, "finish_reason": told}]}
    assert json.loads(answer.whole(call(), json.dumps(body).encode()))["stop_reason"] == reason


@pytest.mark.parametrize("cut", ["", '{"city": "Par'])
def test_a_call_that_the_limit_cuts_is_left_out(cut: str) -> None:
    called = [
        {"id": "a", "function": {"name": "f", "arguments": ""}},
        {"id": "b", "function": {"name": "g", "arguments": cut}},
    ]
    choice: Any = {"message": {"content": "so", "tool_calls": called}, "finish_reason": "length"}
    found = json.loads(answer.whole(call(), json.dumps({"model": "m", "choices": [choice]}).encode()))
    assert found["stop_reason"] == "max_tokens"
    assert found["content"] == [
        {"type": "text", "text": "so"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {}},
    ]


def test_a_call_without_an_object_is_a_fault_of_the_server() -> None:
    called = [{"id": "b", "function": {"name": "g", "arguments": '{"city": "Par'}}]
    body = {"model": "m", "choices": [{"message": {"tool_calls": called}, "finish_reason": "tool_calls"}]}
    with pytest.raises(UpstreamError, match="no JSON object"):
        answer.whole(call(), json.dumps(body).encode())


def test_a_refusal() -> None:
    body = {"choices": [{"message": {"content": None, "refusal": "no"}, "finish_reason": "stop"}]}
    found = json.loads(answer.whole(call(), json.dumps(body).encode()))
    assert (found["content"], found["stop_reason"]) == ([{"type": "text", "text": "no"}], "refusal")


@pytest.mark.parametrize("body", [b"{}", b'{"choices":[]}', b'{"choices":[{"text":"x"}]}', b"[]", b"\xff"])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamError):
        answer.whole(call(), body)


def test_an_error_that_cannot_be_read_is_still_an_error() -> None:
    assert json.loads(failure.body(418, b"teapot")) == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "the request failed"},
    }
