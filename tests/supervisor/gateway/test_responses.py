"""OpenAI's Responses by the unmodified SDK, against a server that only knows chats."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
import pydantic
import pytest

from aish.errors import InputError, UpstreamError
from aish.supervisor.gateway.dialects.call import Call
from aish.supervisor.gateway.dialects.crossing import ResponsesThrough, cross
from aish.supervisor.gateway.dialects.responses import answer, head, through
from aish.supervisor.gateway.dialects.responses.dialect import Responses
from aish.supervisor.gateway.dialects.responses.request import to_chat
from aish.supervisor.gateway.routes import Server

if TYPE_CHECKING:
    from .conftest import World

pytestmark = pytest.mark.usefixtures("not_in_a_row")
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "Of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}
PATCH: Any = {"type": "custom", "name": "patch", "description": "A patch"}


def client(world: World, key: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{world.gateway.url}/v1", api_key=key or world.agent()[1], max_retries=0, timeout=30
    )


def test_a_response_is_whole_and_counted_as_the_server_told(shared: World) -> None:
    id, key = shared.agent()
    found = client(shared, key).responses.create(
        model="small", instructions="be brief", input="say 5 cached 2 think 1", max_output_tokens=50
    )
    assert (found.output_text, found.model, found.status, found.error) == ("w w w w w ", "small", "completed", None)
    assert [item.type for item in found.output] == ["reasoning", "message"]
    assert (found.instructions, found.max_output_tokens, found.tool_choice) == ("be brief", 50, "auto")
    assert found.usage is not None
    assert (found.usage.input_tokens, found.usage.output_tokens) == (10, 5)
    assert found.usage.input_tokens_details.cached_tokens == 2
    assert found.usage.output_tokens_details.reasoning_tokens == 1
    settled = shared.daemon.settled(id, 1)
    assert (settled.tokens.input, settled.tokens.output, settled.tokens.estimated) == (10, 5, 0)
    (row,) = shared.gateway.rows(f"process = '{id}'")
    assert (row["dialect"], row["endpoint"]) == ("responses", "/responses")


def test_the_events_of_a_stream_add_up(shared: World) -> None:
    kinds: list[str] = []
    numbers: list[int] = []
    with client(shared).responses.stream(model="small", input="think 2 say 3") as stream:
        for event in stream:
            kinds.append(event.type)
            numbers.append(event.sequence_number)
        found = stream.get_final_response()
    assert numbers == list(range(len(numbers)))
    assert (found.output_text, found.status) == ("w w w ", "completed")
    assert [kind for before, kind in zip(["", *kinds], kinds, strict=False) if kind != before] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_and_their_outputs_go_back(shared: World, *, stream: bool) -> None:
    sdk = client(shared)
    fields: Any = {"model": "small", "tools": [WEATHER, PATCH]}
    if stream:
        with sdk.responses.stream(input="say 1 call weather call weather", **fields) as events:
            found: Any = events.get_final_response()
    else:
        found = sdk.responses.create(input="say 1 call weather call weather", **fields)
    calls = [item for item in found.output if item.type == "function_call"]
    assert [(call.call_id, call.name, json.loads(call.arguments)) for call in calls] == [
        ("call_0", "weather", {"city": "Paris 0"}),
        ("call_1", "weather", {"city": "Paris 1"}),
    ]
    outputs = [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"} for call in calls]
    items: Any = [
        {"role": "user", "content": "weather?"},
        *(item.to_dict() for item in found.output),
        *outputs,
        {"role": "user", "content": [{"type": "input_text", "text": "say 2"}]},
    ]
    assert sdk.responses.create(input=items, **fields).output_text == "w w "
    sent = shared.upstream.requests[-1]
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool", "tool", "user"]
    assert sent["messages"][1]["content"] == "w "
    assert [call["id"] for call in sent["messages"][1]["tool_calls"]] == ["call_0", "call_1"]
    assert sent["tools"][0]["function"]["parameters"] == WEATHER["parameters"]
    assert sent["tools"][1]["function"]["parameters"]["required"] == ["input"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_custom_tool_is_called_with_its_text(shared: World, *, stream: bool) -> None:
    """What a server that knows functions only makes of it: text in JSON."""
    fields: Any = {"model": "small", "tools": [PATCH], "input": "say 1 call patch"}
    if stream:
        with client(shared).responses.stream(**fields) as events:
            found: Any = events.get_final_response()
    else:
        found = client(shared).responses.create(**fields)
    (call,) = [item for item in found.output if item.type == "custom_tool_call"]
    assert (call.name, call.input) == ("patch", '{"city": "Paris 0"}')
    assert answer.output.custom_input('{"input":"*** Begin"}') == "*** Begin"


def test_the_output_limit_is_said_as_such(shared: World) -> None:
    found = client(shared).responses.create(model="small", input="say 5", max_output_tokens=2)
    assert found.status == "incomplete"
    assert found.incomplete_details is not None
    assert found.incomplete_details.reason == "max_output_tokens"


class Answer(pydantic.BaseModel):
    city: str


def test_an_answer_in_json_is_asked_for_by_its_schema(shared: World) -> None:
    with pytest.raises(pydantic.ValidationError):
        client(shared).responses.parse(model="small", input="say 1", text_format=Answer)
    form = shared.upstream.requests[-1]["response_format"]
    assert (form["type"], form["json_schema"]["name"]) == ("json_schema", "Answer")
    assert form["json_schema"]["schema"]["required"] == ["city"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("status 400", openai.BadRequestError),
        ("status 429", openai.RateLimitError),
        ("status 500", openai.InternalServerError),
        ("notjson", openai.InternalServerError),
    ],
)
def test_a_server_s_error_raises_the_right_class(
    shared: World, text: str, error: type[openai.APIStatusError]
) -> None:
    with pytest.raises(error):
        client(shared).responses.create(model="small", input=text)


@pytest.mark.parametrize("text", ["say 5 mid", "say 5 cut 2", "say 3 nodone"])
def test_a_stream_that_fails_ends_as_failed(shared: World, text: str) -> None:
    events = list(client(shared).responses.create(model="small", input=text, stream=True))
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    last: Any = events[-1]
    assert last.response.status == "failed"
    assert last.response.error.message


def test_a_budget_lowers_the_limit(shared: World) -> None:
    _, key = shared.agent(budget=8)
    found = client(shared, key).responses.create(model="small", input="say 50")
    assert found.status == "incomplete"


# --- what becomes of a request --------------------------------------------------------------------------------------


def parse(**fields: Any) -> Call:
    return to_chat(head.parse(head.RESPONSES, json.dumps({"model": "m", "input": "hi", **fields}).encode()))


def sent(**fields: Any) -> dict[str, Any]:
    return {name: json.loads(bytes(raw)) for name, raw in parse(**fields).fields.items()}


def test_fields_that_mean_the_same() -> None:
    assert sent(
        instructions="i",
        temperature=0.5,
        top_p=0.9,
        stream=True,
        safety_identifier="u",
        store=False,
        include=["reasoning.encrypted_content"],
        reasoning={"effort": "low"},
        previous_response_id=None,
        background=False,
    ) == {
        "model": "m",
        "messages": [{"role": "system", "content": "i"}, {"role": "user", "content": "hi"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "user": "u",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_images_and_parts() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,QQ==", "detail": "low"}
    text = {"type": "input_text", "text": "t"}
    (message,) = sent(input=[{"type": "message", "role": "user", "content": [text, image]}])["messages"]
    assert message["content"] == [
        {"type": "text", "text": "t"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}},
    ]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"input": []}, "input"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "c"}}, "conversation"),
        ({"background": True}, "background"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input[0]"),
        ({"input": [{"type": "function_call", "name": "x", "arguments": "{}"}]}, "input[0]"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0]"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tools": [WEATHER, {"type": "robot", "name": "x"}]}, "tools[1]"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"tools": [{"type": "namespace", "name": "a", "tools": [{"type": "namespace"}]}]}, "tools[0].tools[0]"),
        ({"tools": [{"type": "namespace", "tools": [WEATHER]}]}, "tools[0].tools[0]"),
        ({"tools": [WEATHER, WEATHER]}, "tools[1]"),
        ({"tools": [WEATHER], "tool_choice": {"type": "file_search"}}, "tool_choice"),
        ({"input": 5}, None),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_place(fields: dict[str, Any], field: str | None) -> None:
    with pytest.raises(InputError) as caught:
        parse(**fields)
    assert caught.value.field == field


SPACE: Any = {"type": "namespace", "name": "agents", "description": "Of agents", "tools": [WEATHER, PATCH]}


def test_a_tool_of_openais_servers_beside_others_is_left_out_and_told() -> None:
    """Codex offers a search of the web with every request."""
    call = head.parse(
        head.RESPONSES,
        json.dumps({"model": "m", "input": "x", "tools": [{"type": "web_search_preview"}, WEATHER]}).encode(),
    )
    chat = to_chat(call)
    assert [tool["function"]["name"] for tool in json.loads(bytes(chat.fields["tools"]))] == ["weather"]
    assert chat.left_out == ("web_search_preview",)


def test_a_namespace_is_flat_for_the_server_and_apart_for_the_client(shared: World) -> None:
    """Codex answers `unsupported call` to a name that has its namespace within."""
    with client(shared).responses.stream(
        model="small", input="say 1 call agents__weather", tools=[SPACE, {"type": "web_search"}]
    ) as stream:
        called = next(item for item in stream.get_final_response().output if item.type == "function_call")
    assert (called.name, called.model_dump()["namespace"]) == ("weather", "agents")
    offered = shared.upstream.requests[-1]["tools"]
    assert [tool["function"]["name"] for tool in offered] == ["agents__weather", "agents__patch"]
    raw = client(shared).responses.with_raw_response.create(
        model="small",
        input=[
            {"role": "user", "content": "say 1"},
            {**called.model_dump(include={"type", "call_id", "name", "arguments", "namespace"})},  # type: ignore[list-item]
            {"type": "function_call_output", "call_id": called.call_id, "output": "sunny"},
            {"role": "user", "content": "say 1 call agents__patch"},
        ],
        tools=[SPACE, {"type": "web_search"}],
    )
    assert raw.headers["x-aish-left-out"] == "web_search"
    custom = next(item for item in raw.parse().output if item.type == "custom_tool_call")
    assert (custom.name, custom.model_dump()["namespace"]) == ("patch", "agents")
    said = shared.upstream.requests[-1]["messages"]
    assert said[1]["tool_calls"][0]["function"]["name"] == "agents__weather"


def test_a_long_name_in_a_namespace_is_cut_and_found_again() -> None:
    """Servers take 64 characters; names of MCP servers and their tools together are longer."""
    space = {"type": "namespace", "name": "mcp__" + "s" * 40, "tools": [{**WEATHER, "name": "t" * 40}]}
    call = head.parse(head.RESPONSES, json.dumps({"model": "m", "input": "x", "tools": [space]}).encode())
    (tool,) = json.loads(bytes(to_chat(call).fields["tools"]))
    name = tool["function"]["name"]
    assert len(name) == 64
    made = {"function": {"name": name, "arguments": "{}"}, "id": "c", "type": "function"}
    body = {"model": "m", "choices": [{"message": {"tool_calls": [made]}, "finish_reason": "tool_calls"}]}
    (item,) = json.loads(answer.whole(call, json.dumps(body).encode(), 0))["output"]
    assert (item["namespace"], item["name"]) == ("mcp__" + "s" * 40, "t" * 40)


CHAT: Any = {"model": "m", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}


def test_no_tools_at_all_are_none() -> None:
    call = head.parse(head.RESPONSES, b'{"model":"m","input":"hi","tools":null}')
    assert "tools" not in to_chat(call).fields
    assert json.loads(answer.whole(call, json.dumps(CHAT).encode(), 0))["status"] == "completed"
    assert b"response.created" in answer.Events(call, 0).feed(b"data: " + json.dumps(CHAT).encode() + b"\n\n")


@pytest.mark.parametrize(("why", "arguments"), [("tool_calls", "{}"), ("length", "")])
def test_a_streamed_call_without_arguments_has_an_empty_object(why: str, arguments: str) -> None:
    """But for one that the limit cut: it is told as incomplete."""
    call = head.parse(head.RESPONSES, b'{"model":"m","input":"hi"}')
    called = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]}
    body = json.dumps({"model": "m", "choices": [{"delta": called, "finish_reason": why}]}).encode()
    out = answer.Events(call, 0).feed(b"data: " + body + b"\n\ndata: [DONE]\n\n")
    told = [json.loads(event.partition(b"data: ")[2]) for event in out.split(b"\n\n")[:-1]]
    assert "".join(event["delta"] for event in told if event["type"].endswith("arguments.delta")) == arguments
    (done,) = [event for event in told if event["type"].endswith("arguments.done")]
    assert (done["arguments"], told[-1]["response"]["output"][0]["arguments"]) == (arguments, arguments)


# --- OpenAI's own servers -------------------------------------------------------------------------------------------


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


def test_a_stream_that_passes_is_read_for_its_usage() -> None:
    usage = {
        "input_tokens": 9,
        "output_tokens": 4,
        "input_tokens_details": {"cached_tokens": 3},
        "output_tokens_details": {"reasoning_tokens": 2},
    }
    stream = event("response.created", response={"model": "gpt-inner", "usage": None})
    stream += event("response.output_text.delta", delta="hello there")
    item = event("response.output_item.done", item={"action": {"model": "gpt-inner"}})
    stream += item
    stream += event("response.completed", response={"model": "gpt-inner", "usage": usage})
    relay = through.Relay("mine")
    out = b"".join(relay.feed(stream[at : at + 7]) for at in range(0, len(stream), 7)) + relay.finish()
    renamed = stream.replace(b"gpt-inner", b"mine")
    assert out == renamed.replace(item.replace(b"gpt-inner", b"mine"), item), "an item is what the model wrote"
    assert relay.used is not None
    assert (relay.used.input, relay.used.output, relay.used.cached, relay.used.reasoning) == (9, 4, 3, 2)
    assert (relay.done, relay.error, relay.count.events) == (True, None, 1)


@pytest.mark.parametrize("url", ["https://api.openai.com/v1", "https://x.openai.azure.com/openai/v1"])
def test_what_runs_in_the_background_is_refused_before_it_costs(url: str) -> None:
    """It is answered without usage, and the gateway has no path to fetch what comes of it."""
    server = Server("p1", "m", url)
    with pytest.raises(InputError) as caught:
        cross(head.parse(head.RESPONSES, b'{"model":"m","input":"x","background":true}'), Responses(), server)
    assert caught.value.field == "background"
    fields = b'{"model":"m","input":"x","background":false,"previous_response_id":"resp_1"}'
    assert isinstance(cross(head.parse(head.RESPONSES, fields), Responses(), server), ResponsesThrough)


def test_a_stream_that_is_cut_is_told() -> None:
    relay = through.Relay("mine")
    relay.feed(event("response.created", response={"model": "m"}))
    with pytest.raises(UpstreamError, match="before its end"):
        relay.finish()


def test_what_passes_is_changed_in_name_and_limit_only() -> None:
    call = head.parse(head.RESPONSES, b'{"model":"m","input":"x","tools":[{"type":"web_search"}],"odd":1.50}')
    assert through.body(call, "gpt-inner", 7) == (
        b'{"model":"gpt-inner","input":"x","tools":[{"type":"web_search"}],"odd":1.50,"max_output_tokens":7}'
    )
    assert through.body(call, None, None) == (b'{"model":"m","input":"x","tools":[{"type":"web_search"}],"odd":1.50}')
