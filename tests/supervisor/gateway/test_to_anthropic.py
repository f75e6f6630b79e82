"""A server that speaks Anthropic's dialect, asked by the unmodified SDKs of both."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from aish.supervisor.gateway.dialects.anthropic import chunks, head
from aish.supervisor.gateway.dialects.anthropic.dialect import Anthropic
from aish.supervisor.gateway.dialects.crossing import cross
from aish.supervisor.gateway.routes import Server
from aish.wire.link import Resting
from aish.wire.spec import BudgetPart

from .claude import KEY, LOGIN, Claude, read_tokens
from .conftest import World

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOL: Any = {"name": "weather", "description": "Of a city", "input_schema": {"type": "object", "properties": {}}}
FUNCTION: Any = {
    "type": "function",
    "function": {"name": "weather", "description": "Of a city", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture(scope="module")
def there() -> Iterator[World]:
    """A world whose model `claude` is served so, with a real key in a file."""
    root = Path(tempfile.mkdtemp(prefix="aish-g-", dir="/tmp"))
    world = World(root)
    server = Claude(f"unix:{root}/claude.sock")
    key_file = root / "key"
    key_file.write_text(KEY + "\n")
    key_file.chmod(0o600)
    try:
        server.start()
        world.start()
        world.daemon.model("p2", "claude", server.route, dialect="anthropic", key_file=str(key_file))
        world.daemon.model(
            "p3", "subscription", server.route, dialect="anthropic", login="client", upstream_name="claude-*"
        )
        for id in ("p2", "p3"):
            world.daemon.ready(id)
        world.upstream.stop()
        world.upstream = server
        yield world
    finally:
        world.stop()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(autouse=True)
def not_in_a_row(there: World) -> Iterator[None]:
    """Between the faults of several tests it answers once: else it would rest (breaker.py)."""
    yield
    claude(there).messages.create(model="claude", max_tokens=5, messages=say("say 1"))


def claude(world: World, key: str | None = None) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=world.gateway.url, api_key=key or world.agent()[1], max_retries=0, timeout=60)


def gpt(world: World, key: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{world.gateway.url}/v1", api_key=key or world.agent()[1], max_retries=0, timeout=30
    )


def say(text: str) -> Any:
    return [{"role": "user", "content": text}]


# --- passed ---------------------------------------------------------------------------------------------------------


def test_what_a_client_sends_arrives_as_it_is(there: World) -> None:
    """Fields that only Anthropic's own servers know, and what nobody else could do, go through."""
    document: Any = {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="},
        "cache_control": {"type": "ephemeral"},
    }
    search: Any = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    answer = claude(there).messages.create(
        model="claude",
        max_tokens=50,
        system=[{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        messages=[{"role": "user", "content": [document, {"type": "text", "text": "say 2 think 1"}]}],
        tools=[search],
        thinking={"type": "enabled", "budget_tokens": 1024},
        extra_body={"novel": {"number": 0.30000000000000004}},
        extra_headers={"anthropic-beta": "files-2025"},
    )
    thought = answer.content[0].to_dict()
    assert thought == {"type": "thinking", "thinking": "t0 ", "signature": "signed"}
    assert (answer.model, answer.id) == ("claude", "msg_inner")
    sent, headers = there.upstream.requests[-1], there.upstream.headers[-1]
    assert sent["model"] == "inner"
    assert sent["messages"][0]["content"][0] == document
    assert (sent["tools"], sent["novel"]) == ([search], {"number": 0.30000000000000004})
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert (headers["anthropic-beta"], headers["x-api-key"]) == ("files-2025", KEY)


@pytest.mark.parametrize("stream", [False, True])
def test_usage_is_the_server_s_with_what_was_cached(there: World, *, stream: bool) -> None:
    id, key = there.agent()
    fields: Any = {"model": "claude", "max_tokens": 50, "messages": say("say 4 cached 2 think 1")}
    if stream:
        with claude(there, key).messages.stream(**fields) as events:
            answer: Any = events.get_final_message()
    else:
        answer = claude(there, key).messages.create(**fields)
    assert (answer.model, answer.stop_reason) == ("claude", "end_turn")
    whole = read_tokens({"messages": fields["messages"]})
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (whole - 2, 2)
    settled = there.daemon.settled(id, 1)
    assert (settled.tokens.input, settled.tokens.output, settled.tokens.estimated) == (whole, 4, 0)


def test_a_hang_up_is_settled_with_the_prompt_that_the_server_told(there: World) -> None:
    id, key = there.agent()
    before = there.upstream.aborted
    with claude(there, key).messages.stream(
        model="claude", max_tokens=500, messages=say("say 300 pace 0.05")
    ) as stream:
        for event in stream:
            if event.type == "content_block_delta":
                break
    there.upstream.wait_for(lambda server: server.aborted > before)
    settled = there.daemon.settled(id, 1)
    assert settled.tokens.input == read_tokens({"messages": say("say 300 pace 0.05")})
    assert 1 <= settled.tokens.output < 100
    assert settled.tokens.estimated > 0


def test_tokens_are_counted_by_the_server(there: World) -> None:
    counted = claude(there).messages.count_tokens(model="claude", messages=say("one two three"))
    assert counted.input_tokens == read_tokens({"messages": say("one two three")})
    assert there.upstream.paths[-1] == "/v1/messages/count_tokens"


def test_its_errors_pass_with_their_request_s_id(there: World) -> None:
    with pytest.raises(anthropic.RateLimitError) as caught:
        claude(there).messages.create(model="claude", max_tokens=5, messages=say("status 429"))
    assert caught.value.body == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "scripted"},
        "request_id": "req_1",
    }


def test_a_page_of_html_becomes_an_error(there: World) -> None:
    with pytest.raises(anthropic.InternalServerError) as caught:
        claude(there).messages.create(model="claude", max_tokens=5, messages=say("notjson"))
    body: Any = caught.value.body
    assert body["error"]["type"] == "api_error"


@pytest.mark.parametrize("text", ["say 5 mid", "say 9 cut 2"])
def test_a_stream_that_fails(there: World, text: str) -> None:
    with (
        pytest.raises(anthropic.APIStatusError),
        claude(there).messages.stream(model="claude", max_tokens=50, messages=say(text)) as stream,
    ):
        stream.get_final_message()


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_the_real_key_never_comes_back(there: World, path: str) -> None:
    body = {"model": "claude", "max_tokens": 5, "messages": say("echo")}
    status, answer, _ = there.gateway.call(path, body, there.agent()[1])
    assert (status, answer["error"]["message"]) == (400, "what is ***?")


def test_a_budget_holds_and_lowers(there: World) -> None:
    prompt = read_tokens({"messages": say("say 50")})
    id, key = there.agent(budget=prompt + 6)
    answer = claude(there, key).messages.create(model="claude", max_tokens=100, messages=say("say 50"))
    assert answer.stop_reason == "max_tokens"
    assert there.daemon.settled(id, 1).tokens.output == 6


# --- the client's own login -----------------------------------------------------------------------------------------


def logged_in(world: World, key: str, login: str = LOGIN) -> anthropic.Anthropic:
    """A client with a login of its own, told the rest as `aish env --for anthropic-login` does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_BASE_URL", world.gateway.url)
        patch.setenv("ANTHROPIC_CUSTOM_HEADERS", f"x-aish-key: {key}")
        patch.setenv("ANTHROPIC_AUTH_TOKEN", login.removeprefix("Bearer "))
        return anthropic.Anthropic(max_retries=0, default_headers={"User-Agent": "claude-cli/9", "X-App": "cli"})


def test_a_subscription_is_metered_under_our_key_and_sees_none_of_it(there: World) -> None:
    id, key = there.agent()
    with logged_in(there, key).messages.stream(
        model="claude-new-9", max_tokens=50, messages=say("say 4 cached 2")
    ) as events:
        answer = events.get_final_message()
    assert answer.model == "claude-new-9"
    sent, headers = there.upstream.requests[-1], there.upstream.headers[-1]
    assert sent["model"] == "claude-new-9"
    assert (headers["Authorization"], headers["X-App"], headers["User-Agent"]) == (LOGIN, "cli", "claude-cli/9")
    assert key not in str(headers)
    settled = there.daemon.settled(id, 1)
    assert (settled.tokens.output, settled.tokens.estimated) == (4, 0)
    assert LOGIN.removeprefix("Bearer ") not in str([tuple(row) for row in there.gateway.rows()])
    (row,) = there.gateway.rows(f"process = '{id}'")
    assert row["model"] == "claude-new-9", "of several models behind one server each is counted by its own name"


def test_a_subscription_counts_too(there: World) -> None:
    _, key = there.agent()
    counted = logged_in(there, key).messages.count_tokens(model="claude-x", messages=say("one two three"))
    assert counted.input_tokens == read_tokens({"messages": say("one two three")})
    assert there.upstream.headers[-1]["Authorization"] == LOGIN


def test_a_budget_holds_a_subscription(there: World) -> None:
    id, key = there.agent()
    there.daemon.change(id, budget=BudgetPart(input_tokens=3, hard=True))
    with pytest.raises(anthropic.APIStatusError) as caught:
        logged_in(there, key).messages.create(model="claude-x", max_tokens=50, messages=say("say 4 and many more"))
    assert caught.value.status_code == 402
    status, _, _ = there.gateway.call(
        "/v1/messages", {"model": "claude-x", "max_tokens": 5, "messages": say("x")}, None, {"x-aish-key": "sk-wrong"}
    )
    assert status == 401


def test_a_login_that_expired_is_told_in_the_server_s_words(there: World) -> None:
    """The client is to renew it: an error of ours (the gateway's key is refused) would have it look elsewhere."""
    _, key = there.agent()
    with pytest.raises(anthropic.AuthenticationError) as caught:
        logged_in(there, key, "Bearer old").messages.create(model="claude-x", max_tokens=5, messages=say("say 1"))
    body: Any = caught.value.body
    assert body["error"]["message"] == "invalid x-api-key"
    assert there.gateway.call("/v1/models/subscription", None, key)[0] == 200


def test_a_login_that_a_server_quotes_is_told_to_its_own_client_alone(there: World) -> None:
    """Why a server rests is told to whoever asks it next, logged, and kept as an event."""
    there.daemon.model(
        "p4", "quoting", there.upstream.route, dialect="anthropic", login="client", upstream_name="q-*"
    )
    there.daemon.ready("p4")
    bodies = []
    for login in (LOGIN, "Bearer of-somebody-else"):
        with pytest.raises(anthropic.APIStatusError) as caught:
            logged_in(there, there.agent()[1], login).messages.create(
                model="q-1", max_tokens=5, messages=say("status 503 after 60 echo")
            )
        bodies.append(caught.value.response.text)
    secret = LOGIN.removeprefix("Bearer ")
    assert secret in bodies[0]
    assert "answered 503: what is Bearer ***?" in bodies[1]
    assert there.daemon.event(Resting, lambda e: e.id == "p4").text == "its server answered 503: what is Bearer ***?"
    assert secret not in there.gateway.read_log()


def test_our_key_never_goes_to_a_server_that_wants_a_login(there: World) -> None:
    """Who has no login, and shows our key where one would be."""
    _, key = there.agent()
    with pytest.raises(anthropic.AuthenticationError):
        claude(there, key).messages.create(model="claude-x", max_tokens=5, messages=say("say 1"))
    with pytest.raises(anthropic.AuthenticationError):
        logged_in(there, key, f"Bearer {key}").messages.create(model="claude-x", max_tokens=5, messages=say("x"))
    assert key not in str(there.upstream.headers[-2:])


def test_the_input_of_a_tool_keeps_the_server_s_name_of_the_model() -> None:
    server = Server("p1", "claude", "https://api.anthropic.com", dialect="anthropic")
    call = head.parse(head.MESSAGES, b'{"model":"claude","max_tokens":5,"messages":[{"role":"user","content":"x"}]}')
    block: Any = {"type": "tool_use", "id": "t", "name": "f", "input": {"model": "claude-x"}}
    message = {"content": [block], "model": "claude-x", "usage": {"input_tokens": 1, "output_tokens": 1}}
    crossing = cross(call, Anthropic(), server)
    found = json.loads(crossing.answer(json.dumps(message).encode()))
    assert found == {**message, "model": "claude"}
    start = {"type": "message_start", "message": message}
    out = crossing.relay(keep_usage=True).feed(f"event: message_start\ndata: {json.dumps(start)}\n\n".encode())
    assert json.loads(out.partition(b"data: ")[2]) == {**start, "message": found}


def test_a_context_that_was_said_too_small_lowers_no_reservation(there: World) -> None:
    """A single token was reserved, and the request sent with the limit that it had."""
    part = there.daemon.members["p2"].route
    assert part is not None
    there.daemon.model("p4", "small-said", part.url, dialect="anthropic", key_file=part.key_file, context_tokens=3)
    there.daemon.ready("p4")
    prompt = read_tokens({"messages": say("say 50 and more")})
    id, key = there.agent(budget=prompt + 6)
    answer = claude(there, key).messages.create(model="small-said", max_tokens=100, messages=say("say 50 and more"))
    assert answer.stop_reason == "max_tokens"
    assert there.daemon.settled(id, 1).tokens.output == 6
    there.daemon.change("p4", alive=False)


# --- translated -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat(there: World, *, stream: bool) -> None:
    id, key = there.agent()
    messages: Any = [
        {"role": "system", "content": "be"},
        {"role": "developer", "content": "brief"},
        *say("say 2 think 1 cached 3"),
    ]
    fields: Any = {"model": "claude", "messages": messages, "max_completion_tokens": 50, "temperature": 1.5}
    sdk = gpt(there, key)
    if stream:
        text, reasoning, usage, why, model = "", "", None, None, None
        for chunk in sdk.chat.completions.create(stream=True, stream_options={"include_usage": True}, **fields):
            usage, model = chunk.usage or usage, chunk.model
            for choice in chunk.choices:
                text += choice.delta.content or ""
                reasoning += choice.delta.to_dict().get("reasoning_content") or ""  # type: ignore[operator]
                why = choice.finish_reason or why
    else:
        answer = sdk.chat.completions.create(**fields)
        said = answer.choices[0].message
        text, reasoning, usage = said.content or "", said.to_dict()["reasoning_content"], answer.usage  # type: ignore[assignment]
        why, model = answer.choices[0].finish_reason, answer.model
    assert (text, reasoning, why, model) == ("w w ", "t0 ", "stop", "claude")
    sent = there.upstream.requests[-1]
    assert (sent["system"], sent["max_tokens"], sent["temperature"]) == ("be\nbrief", 50, 1.0)
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (read_tokens(sent), 2)
    assert usage.prompt_tokens_details.cached_tokens == 3
    assert usage.completion_tokens_details.reasoning_tokens == 1
    settled = there.daemon.settled(id, 1)
    assert (settled.tokens.input, settled.tokens.output, settled.tokens.estimated) == (read_tokens(sent), 2, 0)


@pytest.mark.parametrize("stream", [False, True])
def test_tools(there: World, *, stream: bool) -> None:
    sdk = gpt(there)
    messages: Any = say("say 1 call weather call weather")
    calls: dict[int, dict[str, str]] = {}
    if stream:
        why = None
        for chunk in sdk.chat.completions.create(model="claude", messages=messages, tools=[FUNCTION], stream=True):
            for part in chunk.choices[0].delta.tool_calls or []:
                call = calls.setdefault(part.index, {"id": part.id or "", "name": "", "arguments": ""})
                assert part.function is not None
                call["name"] += part.function.name or ""
                call["arguments"] += part.function.arguments or ""
            why = chunk.choices[0].finish_reason or why
    else:
        choice = sdk.chat.completions.create(model="claude", messages=messages, tools=[FUNCTION]).choices[0]
        why = choice.finish_reason
        for place, made in enumerate(choice.message.tool_calls or []):
            assert made.type == "function"
            calls[place] = {"id": made.id, "name": made.function.name, "arguments": made.function.arguments}
    assert why == "tool_calls"
    assert [(call["id"], call["name"], json.loads(call["arguments"])) for call in calls.values()] == [
        ("toolu_0", "weather", {"city": "Paris 0"}),
        ("toolu_1", "weather", {"city": "Paris 1"}),
    ]
    asked = [
        {"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}}
        for c in calls.values()
    ]
    results: Any = [{"role": "tool", "tool_call_id": call["id"], "content": "rain"} for call in calls.values()]
    turn: Any = {"role": "assistant", "content": "", "tool_calls": asked}
    sdk.chat.completions.create(
        model="claude", messages=[*messages, turn, *results, *say("say 1")], tools=[FUNCTION], tool_choice="required"
    )
    sent = there.upstream.requests[-1]
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in sent["messages"][2]["content"]] == ["tool_result", "tool_result", "text"]
    assert sent["messages"][1]["content"][0]["input"] == {"city": "Paris 0"}
    assert (sent["tools"], sent["tool_choice"]) == ([TOOL], {"type": "any"})


@pytest.mark.parametrize(
    ("begun", "pieces", "whole"),
    [({}, [""], "{}"), ({}, [], "{}"), ({"a": 1}, [], '{"a":1}'), ({}, ['{"a":', "2}"], '{"a":2}')],
)
def test_the_arguments_of_a_streamed_call_are_json_always(begun: Any, pieces: list[str], whole: str) -> None:
    block = {"type": "tool_use", "id": "t", "name": "f", "input": begun}
    told = [{"type": "content_block_start", "index": 1, "content_block": block}]
    told += [
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": piece}}
        for piece in pieces
    ]
    told += [{"type": "content_block_stop", "index": 1}]
    stream = b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode() for event in told
    )
    out = chunks.Relay("m", 0, keep_usage=False).feed(stream)
    deltas = [json.loads(event[6:])["choices"][0]["delta"] for event in out.split(b"\n\n")[:-1]]
    made = [call for delta in deltas for call in delta["tool_calls"]]
    assert {call["index"] for call in made} == {0}
    assert "".join(call["function"]["arguments"] for call in made) == whole


def test_images_and_json(there: World) -> None:
    parts: Any = [
        {"type": "text", "text": "say 1"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
    ]
    form: Any = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    gpt(there).chat.completions.create(
        model="claude", messages=[{"role": "user", "content": parts}], response_format=form, reasoning_effort="low"
    )
    sent = there.upstream.requests[-1]
    assert [block.get("source") for block in sent["messages"][0]["content"]] == [
        None,
        {"type": "base64", "media_type": "image/png", "data": "QQ=="},
        {"type": "url", "url": "https://x/y.png"},
    ]
    assert sent["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": {"type": "object"}},
    }


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"n": 2}, "'n'"),
        ({"logprobs": True}, "'logprobs'"),
        ({"logit_bias": {"1": 2}}, "'logit_bias'"),
        ({"response_format": {"type": "json_object"}}, "'response_format'"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "cannot be translated"),
        ({"messages": [{"role": "system", "content": "s"}]}, "'messages'"),
        ({"messages": [{"role": "tool", "content": "s"}]}, "tool_call_id"),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(there: World, fields: Any, word: str) -> None:
    before = len(there.upstream.requests)
    body = {"model": "claude", "messages": say("say 1"), **fields}
    status, answer, _ = there.gateway.call("/v1/chat/completions", body, there.agent()[1])
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert word in answer["error"]["message"]
    assert len(there.upstream.requests) == before


def test_it_has_no_embeddings(there: World) -> None:
    with pytest.raises(openai.BadRequestError, match="has no /embeddings"):
        gpt(there).embeddings.create(model="claude", input="x")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("status 429", openai.RateLimitError),
        ("status 529", openai.InternalServerError),
        ("notjson", openai.InternalServerError),
    ],
)
def test_errors_in_openai_s_words(there: World, text: str, error: type[openai.APIStatusError]) -> None:
    with pytest.raises(error) as caught:
        gpt(there).chat.completions.create(model="claude", messages=say(text))
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["message"]


@pytest.mark.parametrize("text", ["say 5 mid", "say 9 cut 2"])
def test_a_translated_stream_that_fails(there: World, text: str) -> None:
    with pytest.raises(openai.APIError):
        list(gpt(there).chat.completions.create(model="claude", messages=say(text), stream=True))


# --- responses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_of_an_anthropic_server(there: World, *, stream: bool) -> None:
    """Reasoning, words, a call of a function, cached tokens; and the result of the call on its way back."""
    id, key = there.agent()
    tool: Any = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
    fields: Any = {
        "model": "claude",
        "instructions": "be short",
        "input": "say 3 think 2 cached 1 call weather",
        "tools": [tool],
        "max_output_tokens": 60,
    }
    if stream:
        with gpt(there, key).responses.stream(**fields) as events:
            kinds = [event.type for event in events]
            answer: Any = events.get_final_response()
        assert kinds[0] == "response.created"
        assert kinds.count("response.output_text.delta") == 3
        assert kinds[-1] == "response.completed"
    else:
        answer = gpt(there, key).responses.create(**fields)
    assert [item.type for item in answer.output] == ["reasoning", "message", "function_call"]
    assert answer.output_text.split() == ["w"] * 3
    called = answer.output[-1]
    assert (called.name, json.loads(called.arguments)) == ("weather", {"city": "Paris 0"})
    sent = there.upstream.requests[-1]
    assert (sent["model"], sent["max_tokens"], sent["system"]) == ("inner", 60, "be short")
    assert sent["tools"][0]["name"] == "weather"
    settled = there.daemon.settled(id, 1)
    assert answer.usage is not None
    assert (settled.tokens.input, settled.tokens.output, settled.tokens.estimated) == (
        answer.usage.input_tokens, answer.usage.output_tokens, 0,
    )  # fmt: skip
    assert (settled.tokens.cached, answer.usage.input_tokens_details.cached_tokens) == (1, 1)
    result: Any = {"type": "function_call_output", "call_id": called.call_id, "output": "sunny"}
    back: Any = [{"role": "user", "content": "x"}, called.to_dict(), result, {"role": "user", "content": "say 1"}]
    assert gpt(there, key).responses.create(model="claude", input=back).output_text.strip() == "w"
    messages = there.upstream.requests[-1]["messages"]
    assert messages[1]["content"][0]["type"] == "tool_use"
    assert messages[2]["content"][0]["type"] == "tool_result"
    assert messages[2]["content"][0]["tool_use_id"] == messages[1]["content"][0]["id"]


def test_figures_alone_are_no_end() -> None:
    """A message_delta without a stop_reason was told as `stop`, before the answer was over."""
    relay = chunks.Relay("claude", 1, keep_usage=True)
    events = [
        {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 3, "output_tokens": 1}}},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 2}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    ]
    out = b"".join(relay.feed(b"data: " + json.dumps(event).encode() + b"\n\n") for event in events)
    told = [json.loads(line[6:]) for line in out.decode().split("\n\n") if line.startswith("data: {")]
    reasons = [choice["finish_reason"] for chunk in told for choice in chunk["choices"]]
    assert reasons == [None, None, "length"]
    assert relay.used is not None
    assert (relay.used.input, relay.used.output) == (3, 4)


def test_an_end_without_a_reason_is_a_stop() -> None:
    relay = chunks.Relay("claude", 1, keep_usage=False)
    out = relay.feed(b'data: {"type": "message_start", "message": {"id": "m"}}\n\ndata: {"type": "message_stop"}\n\n')
    assert out.count(b'"finish_reason":"stop"') == 1
    assert out.endswith(b"data: [DONE]\n\n")
