"""Ollama's own dialect by its unmodified client."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import ollama
import pytest

from aish.errors import InputError, UpstreamError
from aish.supervisor.gateway.dialects.ollama import answer, request

if TYPE_CHECKING:
    from .conftest import World

WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()


def client(world: World, key: str | None = None) -> ollama.Client:
    return ollama.Client(
        world.gateway.url, headers={"Authorization": f"Bearer {key or world.agent()[1]}"}, timeout=30
    )


def say(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_the_key_from_the_environment(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", shared.gateway.url)
    monkeypatch.setenv("OLLAMA_API_KEY", shared.agent()[1])
    assert ollama.Client().chat("small", say("say 1")).message.content == "w "


def test_a_chat_is_whole_and_counted_as_the_server_told(shared: World) -> None:
    id, key = shared.agent()
    found = client(shared, key).chat(
        "small:latest",
        say("say 5 think 1"),
        options={"num_predict": 50, "temperature": 0.5, "stop": ["x"], "seed": 1},
    )
    assert (found.message.content, found.message.thinking, found.done, found.done_reason) == (
        "w w w w w ",
        "t0 ",
        True,
        "stop",
    )
    assert (found.model, found.prompt_eval_count, found.eval_count) == ("small:latest", 5, 5)
    sent = shared.upstream.requests[-1]
    assert {name: sent[name] for name in ("max_tokens", "temperature", "stop", "seed")} == {
        "max_tokens": 50,
        "temperature": 0.5,
        "stop": ["x"],
        "seed": 1,
    }
    settled = shared.daemon.settled(id, 1)
    assert (settled.tokens.input, settled.tokens.output, settled.tokens.estimated) == (5, 5, 0)
    (row,) = shared.gateway.rows(f"process = '{id}'")
    assert row["dialect"] == "ollama"


def test_a_stream_is_lines(shared: World) -> None:
    parts = list(client(shared).chat("small", say("think 1 say 3"), stream=True))
    assert "".join(part.message.content or "" for part in parts) == "w w w "
    assert "".join(part.message.thinking or "" for part in parts) == "t0 "
    assert [part.done for part in parts] == [False] * 4 + [True]
    last = parts[-1]
    assert (last.done_reason, last.prompt_eval_count, last.eval_count) == ("stop", 5, 3)
    assert last.total_duration is not None
    assert last.prompt_eval_duration is not None
    assert last.eval_duration is not None
    assert last.total_duration >= last.prompt_eval_duration + last.eval_duration - 1


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_and_their_results_go_back(shared: World, *, stream: bool) -> None:
    messages = say("say 1 call weather call weather")
    if stream:
        parts = list(client(shared).chat("small", messages, tools=[WEATHER], stream=True))
        calls = [call for part in parts for call in part.message.tool_calls or []]
    else:
        calls = list(client(shared).chat("small", messages, tools=[WEATHER]).message.tool_calls or [])
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("weather", {"city": "Paris 0"}),
        ("weather", {"city": "Paris 1"}),
    ]
    turn = {"role": "assistant", "content": "", "tool_calls": calls}
    results = [{"role": "tool", "content": text, "tool_name": "weather"} for text in ("rain", "sun")]
    client(shared).chat("small", [*messages, turn, *results, *say("say 1")], tools=[WEATHER])
    sent = shared.upstream.requests[-1]["messages"]
    ids = [call["id"] for call in sent[1]["tool_calls"]]
    assert len(set(ids)) == 2
    assert [(message["tool_call_id"], message["content"]) for message in sent[2:4]] == list(
        zip(ids, ("rain", "sun"), strict=True)
    )


def test_generate(shared: World) -> None:
    sdk = client(shared)
    found = sdk.generate("small", "say 2", system="be brief", images=[PNG])
    assert (found.response, found.done, found.eval_count) == ("w w ", True, 2)
    sent = shared.upstream.requests[-1]["messages"]
    assert sent[0] == {"role": "system", "content": "be brief"}
    assert sent[1]["content"][1]["image_url"]["url"] == f"data:image/png;base64,{PNG}"
    assert "".join(part.response or "" for part in sdk.generate("small", "say 3", stream=True)) == "w w w "
    assert sdk.generate("small", "say 2", raw=True).response == "w w "
    assert shared.upstream.requests[-1]["prompt"] == "say 2"


def test_embeddings(shared: World) -> None:
    sdk = client(shared)
    found = sdk.embed("small", ["a b", "c"])
    assert (found.embeddings, found.prompt_eval_count) == ([[0.5, 0.0], [0.5, 1.0]], 3)
    assert sdk.embed("small", "a").embeddings == [[0.5, 0.0]]
    assert sdk.embeddings("small", "a").embedding == [0.5, 0.0]


def test_answers_in_json(shared: World) -> None:
    sdk = client(shared)
    sdk.chat("small", say("say 1"), format="json")
    assert shared.upstream.requests[-1]["response_format"] == {"type": "json_object"}
    sdk.chat("small", say("say 1"), format={"type": "object"})
    assert shared.upstream.requests[-1]["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_models(shared: World) -> None:
    sdk = client(shared)
    assert {model.model for model in sdk.list().models} == {"default:latest", "small:latest"}
    assert {model.model for model in sdk.ps().models} == {"default:latest", "small:latest"}
    assert sdk.show("small").modelinfo == {"aish.context_length": 4096}
    status, body, _ = shared.gateway.call("/api/version", key=shared.agent()[1])
    assert (status, body["version"]) == (200, "0.12.0")


def test_the_output_limit_is_said_as_such(shared: World) -> None:
    found = client(shared).chat("small", say("say 5"), options={"num_predict": 2})
    assert (found.done_reason, found.eval_count) == ("length", 2)


@pytest.mark.parametrize(("text", "status"), [("status 400", 400), ("status 429", 429), ("notjson", 502)])
def test_a_server_s_error(shared: World, text: str, status: int) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        client(shared).chat("small", say(text))
    assert caught.value.status_code == status
    assert caught.value.error


@pytest.mark.parametrize("text", ["say 5 mid", "say 5 cut 2"])
def test_a_stream_that_fails(shared: World, text: str) -> None:
    with pytest.raises(ollama.ResponseError):
        list(client(shared).chat("small", say(text), stream=True))


def test_errors_of_the_gateway_itself(shared: World) -> None:
    with pytest.raises(ollama.ResponseError, match="unknown API key"):
        client(shared, "nobody").list()
    with pytest.raises(ollama.ResponseError, match="does not exist"):
        client(shared).chat("nix", say("x"))


def test_calls_of_many_turns_have_ids_of_their_own() -> None:
    turn: Any = [
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}] * 2},
        {"role": "tool", "content": "1", "tool_name": "f"},
        {"role": "tool", "content": "2", "tool_name": "f"},
    ]
    call = request.chat(json.dumps({"model": "m", "messages": say("x") + turn * 3}).encode())
    messages = json.loads(bytes(call.fields["messages"]))
    made = [made["id"] for message in messages for made in message.get("tool_calls", ())]
    assert len(set(made)) == 6
    assert [message["tool_call_id"] for message in messages if message["role"] == "tool"] == made


CALLED: Any = [
    {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x": 1}'}},
    {"index": 1, "id": "b", "function": {"name": "g", "arguments": '{"y": "lo'}},
]


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_the_limit_cuts_is_left_out(*, stream: bool) -> None:
    call = request.chat(json.dumps({"model": "m", "messages": say("x")}).encode())

    def lines(why: str) -> list[Any]:
        choice = {"delta" if stream else "message": {"tool_calls": CALLED}, "finish_reason": why}
        body = json.dumps({"model": "m", "choices": [choice]}).encode()
        if not stream:
            return [json.loads(answer.whole(call, body, chat=True))]
        told = answer.Lines(call, chat=True).feed(b"data: " + body + b"\n\ndata: [DONE]\n\n")
        return [json.loads(line) for line in told.splitlines()]

    found = lines("length")
    assert found[-1]["done_reason"] == "length"
    assert found[0]["message"]["tool_calls"] == [{"function": {"name": "f", "arguments": {"x": 1}}}]
    with pytest.raises(UpstreamError, match="no JSON object"):
        lines("tool_calls")


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (request.chat, {"model": "m", "messages": []}),
        (request.chat, {"model": "m", "messages": [{"role": "robot", "content": "x"}]}),
        (request.chat, {"model": "m", "messages": [{"role": "tool", "content": "x", "tool_name": "f"}]}),
        (request.chat, {"model": 5}),
        (request.generate, {"model": "m", "prompt": ""}),
        (request.generate, {"model": "m", "prompt": "x", "suffix": "y"}),
        (request.generate, {"model": "m", "prompt": "x", "context": [1, 2]}),
        (request.embed, {"model": "m", "input": []}),
    ],
)
def test_what_cannot_be_done_is_refused(read: Any, body: Any) -> None:
    with pytest.raises(InputError):
        read(json.dumps(body).encode())


def test_bytes_that_are_no_text_in_a_call_s_arguments_are_the_client_s_mistake() -> None:
    """They were a failure of the gateway: arguments are kept as they came, and nobody had looked into them."""
    call = b'{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": "\xd5"}}}]}'
    with pytest.raises(InputError):
        request.chat(b'{"model": "m", "messages": [' + call + b"]}")
