"""The unmodified anthropic SDK against a server that speaks OpenAI's dialect."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

if TYPE_CHECKING:
    from .conftest import World

pytestmark = pytest.mark.usefixtures("not_in_a_row")
WEATHER: Any = {
    "name": "weather",
    "description": "Of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
PICTURE = base64.b64encode(b"\x89PNG").decode()


def client(world: World, key: str | None = None, **more: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=world.gateway.url, api_key=key or world.agent()[1], max_retries=0, timeout=60, **more
    )


def ask(world: World, text: Any, key: str | None = None, **fields: Any) -> anthropic.types.Message:
    messages: Any = [{"role": "user", "content": text}]
    return client(world, key).messages.create(model="small", max_tokens=100, messages=messages, **fields)


def test_an_answer_is_whole_and_counted_as_the_server_told(shared: World) -> None:
    id, key = shared.agent()
    answer = ask(shared, "say 5 please", key, system="be brief")
    assert [block.to_dict() for block in answer.content] == [{"type": "text", "text": "w w w w w "}]
    assert (answer.role, answer.model, answer.stop_reason, answer.stop_sequence) == (
        "assistant",
        "small",
        "end_turn",
        None,
    )
    assert answer.id.startswith("msg_")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 5)
    settled = shared.daemon.settled(id, 1)
    assert (settled.tokens.input, settled.tokens.output, settled.tokens.estimated) == (7, 5, 0)
    (row,) = shared.gateway.rows(f"process = '{id}'")
    assert (row["dialect"], row["endpoint"], row["status"], row["stream"]) == ("anthropic", "/messages", 200, 0)


def test_a_stream_adds_up_to_the_same_message(shared: World) -> None:
    id, key = shared.agent()
    kinds: list[str] = []
    messages: Any = [{"role": "user", "content": "think 2 say 3 cached 2"}]
    with client(shared, key).messages.stream(model="small", max_tokens=100, messages=messages) as stream:
        for event in stream:
            kinds.append(event.type)
        answer = stream.get_final_message()
    assert [block.to_dict() for block in answer.content] == [
        {"type": "thinking", "thinking": "t0 t1 ", "signature": ""},
        {"type": "text", "text": "w w w "},
    ]
    assert (answer.model, answer.stop_reason) == ("small", "end_turn")
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens, answer.usage.output_tokens) == (5, 2, 3)
    assert answer.usage.output_tokens_details is not None
    assert answer.usage.output_tokens_details.thinking_tokens == 2
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert shared.daemon.settled(id, 1).tokens.output == 3


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_and_their_results_go_back(shared: World, *, stream: bool) -> None:
    sdk = client(shared)
    messages: Any = [{"role": "user", "content": "say 1 call weather call weather"}]
    fields: Any = {"model": "small", "max_tokens": 100, "tools": [WEATHER]}
    if stream:
        with sdk.messages.stream(messages=messages, **fields) as events:
            answer: Any = events.get_final_message()
    else:
        answer = sdk.messages.create(messages=messages, **fields)
    assert answer.stop_reason == "tool_use"
    used = [block for block in answer.content if block.type == "tool_use"]
    assert [(block.id, block.name, block.input) for block in used] == [
        ("call_0", "weather", {"city": "Paris 0"}),
        ("call_1", "weather", {"city": "Paris 1"}),
    ]
    results = [{"type": "tool_result", "tool_use_id": block.id, "content": f"rain {block.id}"} for block in used]
    turn = [{"role": "assistant", "content": [block.to_dict() for block in answer.content]}]
    last = [{"role": "user", "content": [*results, {"type": "text", "text": "say 2"}]}]
    after = sdk.messages.create(messages=[*messages, *turn, *last], **fields)
    assert after.stop_reason == "end_turn"
    sent = shared.upstream.requests[-1]
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool", "tool", "user"]
    assert [json.loads(call["function"]["arguments"]) for call in sent["messages"][1]["tool_calls"]] == [
        {"city": "Paris 0"},
        {"city": "Paris 1"},
    ]
    assert sent["messages"][2] == {"role": "tool", "tool_call_id": "call_0", "content": "rain call_0"}
    assert sent["tools"][0]["function"]["parameters"] == WEATHER["input_schema"]


def test_images_go_as_data_addresses(shared: World) -> None:
    source: Any = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    ask(shared, [{"type": "image", "source": source}, {"type": "text", "text": "say 1"}])
    (message,) = shared.upstream.requests[-1]["messages"]
    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
        {"type": "text", "text": "say 1"},
    ]


def test_the_output_limit_is_said_as_such(shared: World) -> None:
    answer = client(shared).messages.create(
        model="small", max_tokens=2, messages=[{"role": "user", "content": "say 5"}]
    )
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 2)


def test_tokens_are_counted_without_an_answer(shared: World) -> None:
    id, key = shared.agent()
    counted = client(shared, key).messages.count_tokens(
        model="small", system="be brief", messages=[{"role": "user", "content": "one two three"}]
    )
    assert counted.input_tokens == 7
    assert shared.gateway.rows(f"process = '{id}'") == []


def test_models_are_listed_in_its_shape(shared: World) -> None:
    models = {model.id: model for model in client(shared).models.list()}
    assert set(models) == {"default", "small"}
    assert models["small"].max_input_tokens == 4096
    assert client(shared).models.retrieve("small").display_name == "small"


def test_paths_without_v1(shared: World) -> None:
    """opencode leaves it out."""
    _, key = shared.agent()
    body = {"model": "small", "max_tokens": 9, "messages": [{"role": "user", "content": "say 1"}]}
    status, answer, _ = shared.gateway.call("/messages", body, headers={"x-api-key": key})
    assert (status, answer["content"][0]["text"]) == (200, "w ")


@pytest.mark.parametrize(
    ("text", "error", "kind"),
    [
        ("status 400", anthropic.BadRequestError, "invalid_request_error"),
        ("status 429", anthropic.RateLimitError, "rate_limit_error"),
        ("status 500", anthropic.InternalServerError, "api_error"),
        ("status 529", anthropic.InternalServerError, "overloaded_error"),
        ("notjson", anthropic.InternalServerError, "api_error"),
        ("badcall", anthropic.InternalServerError, "api_error"),
    ],
)
def test_a_server_s_error_raises_the_right_class(
    shared: World, text: str, error: type[anthropic.APIStatusError], kind: str
) -> None:
    with pytest.raises(error) as caught:
        ask(shared, text)
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", kind)


@pytest.mark.parametrize("text", ["say 5 mid", "say 5 cut 2", "say 3 nodone"])
def test_an_error_inside_a_stream_is_raised(shared: World, text: str) -> None:
    messages: Any = [{"role": "user", "content": text}]
    with (
        pytest.raises(anthropic.APIStatusError),
        client(shared).messages.stream(model="small", max_tokens=100, messages=messages) as stream,
    ):
        stream.get_final_message()


def test_errors_of_the_gateway_itself(shared: World) -> None:
    with pytest.raises(anthropic.AuthenticationError, match="unknown API key"):
        ask(shared, "say 1", "sk-nobody")
    with pytest.raises(anthropic.NotFoundError, match="does not exist"):
        client(shared).messages.create(model="nix", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: Field required"):
        client(shared).post("/v1/messages", body={"model": "small", "messages": [{"role": "user", "content": "x"}]},
                            cast_to=object)  # fmt: skip


def test_a_budget_lowers_the_limit_and_holds(shared: World) -> None:
    _, key = shared.agent(budget=8)
    raw = client(shared, key).messages.with_raw_response.create(
        model="small", max_tokens=100, messages=[{"role": "user", "content": "say 50"}]
    )
    assert raw.headers["x-aish-limited-by"] == "budget"
    answer = raw.parse()
    assert (answer.stop_reason, answer.usage.input_tokens + answer.usage.output_tokens) == ("max_tokens", 8)
