"""What the gateway needs of the real server: OpenAI's dialect, counts that agree, clean answers to bad requests."""

from __future__ import annotations

import concurrent.futures
import json
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Running

pytestmark = pytest.mark.model

STORY = "Write a very long story about a river."


def test_chat_streams_and_ends_with_usage(smollm2: Running) -> None:
    options = {"stream_options": {"include_usage": True}, "max_tokens": 8, "temperature": 0}
    reply = smollm2.chat(STORY, stream=True, **options)
    events = [line.removeprefix(b"data: ") for line in reply.data.splitlines() if line.startswith(b"data: ")]
    assert events[-1] == b"[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
    assert text
    assert chunks[-1]["usage"]["completion_tokens"] == 8
    assert chunks[-1]["choices"] == []


def test_completions_embeddings_tokenize_and_models_in_one_process(smollm2: Running) -> None:
    assert (
        smollm2.post("/v1/completions", {"prompt": "The sea", "max_tokens": 3}).json["usage"]["completion_tokens"]
        == 3
    )
    vectors = smollm2.post("/v1/embeddings", {"input": ["one", "two"]}).json["data"]
    assert [len(entry["embedding"]) for entry in vectors] == [576, 576]
    assert len(smollm2.post("/tokenize", {"content": "one two three"}).json["tokens"]) == 3
    models = smollm2.send("GET", "/v1/models").json["data"]
    assert models[0]["id"] == "smollm2"
    assert models[0]["meta"]["n_ctx"] == smollm2.plan.context_tokens == 4096


def test_usage_agrees_with_the_servers_own_counts(smollm2: Running) -> None:
    """Metering by `usage` loses nothing: chats one by one and four at a time, cached prompts, embeddings."""
    smollm2.wait_idle(30)
    before = smollm2.counts()
    replies = [smollm2.chat("Say hello.", max_tokens=5) for _ in range(3)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        replies += pool.map(lambda number: smollm2.chat(f"Count to {number}.", max_tokens=6), range(4))
    replies.append(smollm2.post("/v1/embeddings", {"input": ["a text", "another text"]}))
    usages = [reply.json["usage"] for reply in replies]
    after = smollm2.counts()
    assert after["input"] - before["input"] == sum(usage["prompt_tokens"] for usage in usages)
    assert after["output"] - before["output"] == sum(usage.get("completion_tokens", 0) for usage in usages)


def test_several_choices_are_counted_once_only_a_trap(smollm2: Running) -> None:
    """llama.cpp tells the usage of one choice for n=2: whoever meters must refuse n > 1 or multiply. ADR 0004."""
    smollm2.wait_idle(30)
    before = smollm2.counts()
    usage = smollm2.chat("Say hello.", max_tokens=5, n=2, ignore_eos=True).json["usage"]
    assert usage["completion_tokens"] == 5
    assert smollm2.counts()["output"] - before["output"] == 10


def test_a_prefix_is_cached(smollm2: Running) -> None:
    """The reason why agents with one long instruction answer quickly from the second time on."""
    instruction = " ".join(f"Rule {number}: be brief." for number in range(40))
    smollm2.chat(instruction + " First.", max_tokens=1)
    cached = smollm2.chat(instruction + " Second.", max_tokens=1).json["usage"]["prompt_tokens_details"][
        "cached_tokens"
    ]
    assert cached > 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", b'{"mess'),
        ("/v1/chat/completions", b"\xff\xfe"),
        ("/v1/chat/completions", b""),
        ("/v1/chat/completions", b"[]"),
        ("/v1/chat/completions", b'{"messages": "x"}'),
        ("/v1/chat/completions", b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": "many"}'),
        ("/v1/completions", b"{}"),
        ("/v1/embeddings", b'{"input": []}'),
        ("/v1/embeddings", b'{"input": ""}'),
        ("/v1/embeddings", b'{"input": 5}'),
        ("/v1/embeddings", b'{"input": [[99999999]]}'),
    ],
)
def test_a_bad_request_is_answered_with_400_and_a_reason(smollm2: Running, path: str, body: bytes) -> None:
    reply = smollm2.send("POST", path, body)
    assert reply.status == 400, reply.data[:300]
    assert reply.json["error"]["message"]
    assert smollm2.chat("Still there?", max_tokens=1).status == 200


def test_deeply_nested_json_does_not_end_the_server(smollm2: Running) -> None:
    reply = smollm2.send("POST", "/v1/chat/completions", b'{"messages":' + b"[" * 100_000)
    assert reply.status == 400
    assert smollm2.process.poll() is None


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(smollm2: Running) -> None:
    for reply in (
        smollm2.chat("river " * 5000),
        smollm2.post("/v1/completions", {"prompt": "river " * 5000, "stream": True}),
    ):
        assert reply.status == 400
        error = reply.json["error"]
        assert error["type"] == "exceed_context_size_error"
        assert error["n_ctx"] == 4096 < error["n_prompt_tokens"]


def test_a_text_to_embed_that_is_longer_than_a_batch_is_refused_a_trap(smollm2: Running) -> None:
    """llama.cpp answers 500 although it is the caller's fault: the gateway makes 400 of it. ADR 0004."""
    reply = smollm2.post("/v1/embeddings", {"input": "river " * 600})
    assert reply.status == 500
    assert "too large to process" in reply.json["error"]["message"]
    assert smollm2.post("/v1/embeddings", {"input": "river"}).status == 200


@pytest.mark.slow
def test_an_answer_ends_at_the_end_of_the_context(run: Callable[..., Running]) -> None:
    """Without max_tokens a small model may go on for ever: it stops where its room ends, with 'length'."""
    one = run("smollm2", ctx="256", slots="1")
    one.wait_ready()
    reply = one.post("/v1/completions", {"prompt": "a " * 200, "ignore_eos": True})
    assert reply.status == 200
    assert reply.json["choices"][0]["finish_reason"] == "length"
    assert reply.json["usage"]["total_tokens"] <= 256 + 1


def test_clients_that_leave_in_mid_stream_free_their_slots(smollm2: Running) -> None:
    """Forty that leave after the first bytes: then the server is idle and well."""
    smollm2.wait_idle(30)
    before = smollm2.counts()["output"]
    for _ in range(40):
        leave(smollm2, stream=True, max_tokens=3000)
    smollm2.wait_idle(10)
    assert smollm2.counts()["output"] - before < 40 * 100
    assert smollm2.chat("Still there?", max_tokens=1).status == 200
    assert smollm2.process.poll() is None


def test_clients_that_leave_without_a_stream_are_worked_for_to_the_end_a_trap(smollm2: Running) -> None:
    """llama.cpp notices only when it writes: whoever may go away asks for a stream. ADR 0004."""
    smollm2.wait_idle(30)
    before = smollm2.counts()["output"]
    leave(smollm2, stream=False, max_tokens=40)
    smollm2.wait_idle(30)
    assert smollm2.counts()["output"] - before == 40


def leave(server: Running, *, stream: bool, max_tokens: int) -> None:
    body = {"messages": [{"role": "user", "content": STORY}], "max_tokens": max_tokens, "ignore_eos": True}
    connection = server.connection()
    connection.request("POST", "/v1/chat/completions", json.dumps(body | {"stream": stream}))
    assert connection.sock is not None
    if stream:
        connection.sock.recv(1)
    else:
        server.wait_busy(10)
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()


def test_idle_connections_do_not_keep_others_out(smollm2: Running) -> None:
    idle = [smollm2.connection() for _ in range(40)]
    for connection in idle:
        connection.request("GET", "/health")
        connection.getresponse().read()
    assert smollm2.chat("Hello", max_tokens=1).status == 200
    for connection in idle:
        connection.close()


def test_more_requests_than_slots_wait_and_are_all_answered(smollm2: Running) -> None:
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda number: smollm2.chat(f"Say {number}.", max_tokens=4), range(16)))
    assert [reply.status for reply in replies] == [200] * 16


def test_an_encoder_refuses_to_chat_and_stays_up(minilm: Running) -> None:
    assert minilm.chat("hi", max_tokens=1).status >= 400
    assert minilm.post("/v1/embeddings", {"input": "hi"}).status == 200
