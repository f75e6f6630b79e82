"""Servers that misbehave and clients that go away: an error that says what happened, a free slot, a figure."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import openai
import pytest

from .upstream import Upstream

if TYPE_CHECKING:
    from .conftest import World

pytestmark = pytest.mark.usefixtures("not_in_a_row")
DEADLINE_S = 60.0


def stream(world: World, key: str, text: str, **more: object) -> list[str]:
    """The texts of a stream's events."""
    sdk = openai.OpenAI(base_url=f"{world.gateway.url}/v1", api_key=key, max_retries=0, timeout=60)
    chunks = sdk.chat.completions.create(
        model="small",
        messages=[{"role": "user", "content": text}],
        stream=True,
        **more,  # type: ignore[call-overload]
    )
    return [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]


class Client:
    """A client that writes one request by hand and reads what it wants."""

    def __init__(self, world: World, key: str, body: dict[str, object], path: str = "/v1/chat/completions") -> None:
        self.socket = socket.create_connection(("127.0.0.1", world.gateway.port), timeout=DEADLINE_S)
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        self.socket.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)

    def read_until(self, mark: bytes) -> bytes:
        data = b""
        while mark not in data:
            piece = self.socket.recv(65536)
            assert piece, data
            data += piece
        return data

    def hang_up(self) -> None:
        self.socket.close()


def chat(text: str, **fields: object) -> dict[str, object]:
    return {"model": "small", "messages": [{"role": "user", "content": text}], **fields}


# --- servers --------------------------------------------------------------------------------------------------------


def test_a_stream_that_is_cut_ends_with_an_error_and_an_estimate(shared: World) -> None:
    id, key = shared.agent()
    with pytest.raises(openai.APIError, match="in the middle of its reply"):
        stream(shared, key, "say 50 cut 7")
    tokens = shared.daemon.settled(id, 1).tokens
    assert (tokens.input, tokens.output, tokens.estimated) == (5, 7, 12)
    (row,) = shared.gateway.rows(f"process = '{id}'")
    assert (row["status"], row["estimated"]) == (502, 1)


def test_a_stream_that_is_not_json_is_refused_in_its_place(shared: World) -> None:
    _, key = shared.agent()
    with pytest.raises(openai.APIError, match="malformed stream"):
        stream(shared, key, "say 50 malformed 3")
    # as long as nothing was sent it is a plain 502
    status, body, _ = shared.gateway.chat(key, "notjson", stream=True)
    assert (status, body["error"]["type"]) == (502, "upstream_error")


def test_a_stream_without_done_is_told_as_cut(shared: World) -> None:
    _, key = shared.agent()
    with pytest.raises(openai.APIError, match="before its end"):
        stream(shared, key, "say 5 nodone")


def test_an_error_inside_the_stream_reaches_the_client(shared: World) -> None:
    id, key = shared.agent()
    with pytest.raises(openai.APIError, match="scripted"):
        stream(shared, key, "say 5 mid")
    shared.daemon.settled(id, 1)
    (row,) = shared.gateway.rows(f"process = '{id}'")
    assert row["status"] == 502


@pytest.mark.parametrize("fault", ["nousage", "wrongusage"])
@pytest.mark.parametrize("streams", [True, False])
def test_missing_or_absurd_usage_is_estimated_and_says_so(shared: World, fault: str, streams: bool) -> None:
    id, key = shared.agent()
    if streams:
        assert len(stream(shared, key, f"say 6 {fault}")) == 6
    else:
        assert shared.gateway.chat(key, f"say 6 {fault}")[0] == 200
    tokens = shared.daemon.settled(id, 1).tokens
    assert tokens.input == 4
    assert 6 <= tokens.output <= 7
    assert tokens.estimated == tokens.input + tokens.output


def test_events_with_crlf_pass(shared: World) -> None:
    id, key = shared.agent()
    assert stream(shared, key, "say 3 crlf") == ["w "] * 3
    assert shared.daemon.settled(id, 1).tokens.estimated == 0


def test_a_large_event_passes_and_an_endless_one_is_cut(shared: World) -> None:
    _, key = shared.agent()
    texts = stream(shared, key, f"say 1 huge {4 << 20}")
    assert len(texts[0]) == 4 << 20
    with pytest.raises(openai.APIError, match="an event of more than"):
        stream(shared, key, f"say 1 huge {17 << 20}")


def test_memory_stays_bounded_while_a_large_stream_waits_for_its_reader(shared: World) -> None:
    """60 MiB of events to a client that does not read: the gateway must stop reading, not buffer."""
    _, key = shared.agent()
    before = rss_bytes(shared.gateway.pid)
    client = Client(shared, key, chat(f"say 3000000 flood huge {1 << 20}", stream=True))
    client.read_until(b"\r\n\r\n")
    shared.upstream.wait_for(lambda server: server.active >= 1)
    high = before
    for _ in range(20):
        # time passes here on purpose: what is measured is that nothing grows while nobody reads
        high = max(high, rss_bytes(shared.gateway.pid))
        time.sleep(0.05)
    aborted = shared.upstream.aborted
    client.hang_up()
    shared.upstream.wait_for(lambda server: server.aborted > aborted)
    assert high - before < 24 << 20, f"grew by {(high - before) >> 20} MiB"


def rss_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as stream:
        return int(stream.read().split()[1]) * 4096


def test_a_server_that_dies_is_unknown_and_its_requests_wait_until_it_is_back(world: World) -> None:
    world.start()
    id, key = world.agent()
    world.upstream.stop()
    status, body, _ = world.gateway.chat(key, "say 1")
    assert status == 502
    assert "small cannot be reached" in body["error"]["message"]
    world.daemon.event(type(world.daemon.ready("p1")), lambda e: e.ready == "unknown")
    with contextlib.suppress(FileNotFoundError):  # from Python 3.13 on it goes with its server
        os.unlink(world.upstream.address.removeprefix("unix:"))
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(world.gateway.chat(key, "say 1")[0]))
    thread.start()
    world.upstream = Upstream(world.upstream.address, llamacpp=True).start()
    thread.join(DEADLINE_S)
    assert answers == [200]
    assert world.daemon.settled(id, 2).tokens.output == 1


@pytest.mark.parametrize("streams", [True, False])
def test_a_mistake_that_llama_cpp_calls_its_own_failure_is_the_client_s(shared: World, streams: bool) -> None:
    """And no reason to doubt the server: a doubt costs a probe for every such request."""
    id, key = shared.agent()
    probes = sum(r["messages"][-1]["content"] == "hi" for r in shared.upstream.requests if "messages" in r)
    said = "fails Failed to parse tools: no function"
    status, body, _ = shared.gateway.chat(key, said, stream=streams)
    error = body["error"]
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", "tools")
    assert error["message"] == said.removeprefix("fails ")
    tokens = shared.daemon.settled(id, 1).tokens
    assert tokens.input + tokens.output == 0
    assert shared.gateway.chat(key, "say 1")[0] == 200
    assert probes == sum(r["messages"][-1]["content"] == "hi" for r in shared.upstream.requests if "messages" in r)


@pytest.mark.parametrize("streams", [True, False])
def test_an_error_inside_a_stream_has_its_own_status_where_nothing_was_sent_yet(shared: World, streams: bool) -> None:
    id, key = shared.agent()
    sdk = openai.OpenAI(base_url=f"{shared.gateway.url}/v1", api_key=key, max_retries=0, timeout=60)
    with pytest.raises(openai.APIError, match="scripted") as caught:
        for _ in sdk.chat.completions.create(
            model="small",
            messages=[{"role": "user", "content": "say 5 mid"}],
            stream=streams,
        ):
            pass
    if not streams:
        assert isinstance(caught.value, openai.InternalServerError)
        assert caught.value.status_code == 500
    shared.daemon.settled(id, 1)


# --- clients --------------------------------------------------------------------------------------------------------


def test_hanging_up_in_a_stream_frees_the_slot_and_bills_what_was_streamed(shared: World) -> None:
    id, key = shared.agent()
    aborted = shared.upstream.aborted
    client = Client(shared, key, chat("say 4000 pace 0.002", stream=True))
    client.read_until(b'"content": "w "')
    began_s = time.monotonic()
    client.hang_up()
    shared.upstream.wait_for(lambda server: server.aborted > aborted)
    assert time.monotonic() - began_s < 2.0
    tokens = shared.daemon.settled(id, 1).tokens
    assert tokens.input == 5
    assert 1 <= tokens.output < 3000
    assert tokens.estimated == tokens.input + tokens.output
    (row,) = shared.gateway.rows(f"process = '{id}'")
    assert row["status"] == 499


@pytest.mark.parametrize("stream", [True, False])
def test_all_that_a_local_server_worked_is_counted_though_it_was_not_seen(shared: World, *, stream: bool) -> None:
    """Several tokens may be one event: of a client that hung up a third was counted, and the budget had the rest."""
    id, key = shared.agent(budget=4000)
    aborted, work = shared.upstream.aborted, shared.upstream.work
    client = Client(shared, key, chat("say 2000 hidden 3 pace 0.002", stream=stream))
    shared.upstream.wait_for(lambda server: server.work > work + 30)
    client.hang_up()
    shared.upstream.wait_for(lambda server: server.aborted > aborted)
    tokens = shared.daemon.settled(id, 1).tokens
    assert shared.upstream.work - work <= tokens.input + tokens.output < 1000


@pytest.mark.parametrize(("budget", "most"), [(None, 511), (100_000, 10_000)])
def test_a_prompt_that_could_not_be_counted_is_settled_at_its_bound(
    shared: World, budget: int | None, most: int
) -> None:
    """A fourth of its bytes was given back more than it had taken; where nothing is limited that is likely enough."""
    id, key = shared.agent(budget=budget)
    shared.upstream.uncounted = True
    try:
        words = f"never counted {budget}"
        client = Client(shared, key, chat(words, max_tokens=10))
        shared.upstream.wait_for(lambda server: any(words in str(r["messages"]) for r in server.requests))
        client.hang_up()
        tokens = shared.daemon.settled(id, 1).tokens
    finally:
        shared.upstream.uncounted = False
    assert (tokens.input > 512) == (budget is not None)
    assert 4 < tokens.input < most


def test_hanging_up_before_the_answer_frees_the_slot(shared: World) -> None:
    id, key = shared.agent()
    aborted = shared.upstream.aborted
    client = Client(shared, key, chat("never", max_tokens=10))
    shared.upstream.wait_for(lambda server: any(r["messages"][-1]["content"] == "never" for r in server.requests))
    client.hang_up()
    shared.upstream.wait_for(lambda server: server.aborted > aborted)
    tokens = shared.daemon.settled(id, 1).tokens
    assert tokens.estimated == tokens.input + tokens.output
    assert tokens.output <= 10, "never more than was asked for"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_only_sends_no_more_gets_its_answer(shared: World, *, stream: bool) -> None:
    """`nc -N`, socat: to a server they look like one that has closed, and were taken for it."""
    id, key = shared.agent()
    client = Client(shared, key, chat("say 9 pace 0.01", stream=stream))
    client.socket.shutdown(socket.SHUT_WR)
    answer = b""
    while data := client.socket.recv(1 << 16):
        answer += data
    assert answer.endswith(b"0\r\n\r\n") if stream else answer.endswith(b"}")
    assert answer.count(b"w ") == 9
    tokens = shared.daemon.settled(id, 1).tokens
    assert (tokens.output, tokens.estimated) == (9, 0)
    client.hang_up()


def test_one_that_sends_no_more_and_then_goes_frees_the_slot(shared: World) -> None:
    """Nothing tells a server of that until it writes: the slot was kept for nobody."""
    id, key = shared.agent()
    aborted = shared.upstream.aborted
    client = Client(shared, key, chat("never half closed", max_tokens=10))
    shared.upstream.wait_for(lambda server: any("half" in r["messages"][-1]["content"] for r in server.requests))
    client.socket.shutdown(socket.SHUT_WR)
    client.hang_up()
    shared.upstream.wait_for(lambda server: server.aborted > aborted)
    shared.daemon.settled(id, 1)


def test_hanging_up_on_a_remote_server_is_estimated_though_nothing_was_seen(world: World) -> None:
    """It was at work until then: nothing was counted where its pace was not known yet."""
    world.upstream = Upstream("127.0.0.1:0")
    world.start()
    id, key = world.agent()
    client = Client(world, key, chat("never", max_tokens=10))
    world.upstream.wait_for(lambda server: any(r["messages"][-1]["content"] == "never" for r in server.requests))
    client.hang_up()
    tokens = world.daemon.settled(id, 1).tokens
    assert 1 <= tokens.output <= 10
    assert tokens.estimated == tokens.input + tokens.output


def test_activity_is_told_while_it_happens_and_idle_after(shared: World) -> None:
    from aish.wire.link import ActivityNote

    id, key = shared.agent()
    client = Client(shared, key, chat("say 400 pace 0.005", stream=True))
    note = shared.daemon.event(ActivityNote, lambda e: e.id == id and bool(e.tokens_per_s))
    assert note.activity == "generating"
    assert note.doing is not None
    assert note.doing.startswith("small: ")
    shared.daemon.event(ActivityNote, lambda e: e.id == "p1" and e.activity == "generating")
    client.hang_up()
    shared.daemon.event(ActivityNote, lambda e: e.id == id and e.activity == "idle")
    shared.daemon.event(ActivityNote, lambda e: e.id == "p1" and e.activity == "loaded")
