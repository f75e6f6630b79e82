"""The embedded model behind the gateway: the server's counts equal ours, a hang-up frees its slot, budgets hold."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import openai
import pytest

from aish import store
from aish.plugins.llamacpp import server as llamacpp
from aish.supervisor.gateway.dialects.worked import UNTOLD_TOKENS
from aish.wire.link import ActivityNote, Hold
from aish.wire.message import UsageQuery

from .conftest import World
from .test_faults import Client
from .test_limits import Call

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.model
DEADLINE_S = 60.0


class Real(World):
    """The world with llama.cpp in place of the scripted server."""

    def __init__(self, root: Path, gguf: store.catalog.StoredModel) -> None:
        super().__init__(root)
        self.path = str(root / "llm.sock")
        plan = llamacpp().plan(gguf, self.path)
        self.log = open(root / "llm.log", "wb")  # noqa: SIM115  closed in stop
        self.server = subprocess.Popen(
            [*plan.argv],
            env={**os.environ, **plan.environ},
            stdin=subprocess.DEVNULL,
            stderr=self.log,
            stdout=self.log,
        )
        self.daemon.model("p1", "small", plan.url, upstream_name=plan.upstream_name)

    def start(self) -> Real:
        self.daemon.start()
        self.gateway.start()
        ready = self.daemon.event(
            type(self.daemon.ready("p1")), lambda e: e.id == "p1" and e.ready == "yes", DEADLINE_S
        )
        assert ready.context_tokens == 4096
        return self

    def stop(self) -> None:
        self.gateway.close()
        self.daemon.stop()
        self.server.terminate()
        self.server.wait(DEADLINE_S)
        self.log.close()

    def ask(self, method: str, path: str, body: object = None) -> str:
        """The server itself."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.path)
        connection.request(method, path, None if body is None else json.dumps(body))
        try:
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def wait_idle(self) -> None:
        """Until it works for nobody: it counts a request when it leaves its slot."""
        deadline_s = time.monotonic() + DEADLINE_S
        while any(slot["is_processing"] for slot in json.loads(self.ask("GET", "/slots"))):
            assert time.monotonic() < deadline_s

    def counts(self) -> tuple[int, int]:
        """(prompt tokens, generated tokens) by the server's own metrics."""
        lines = self.ask("GET", "/metrics").splitlines()
        values = {name: float(value) for name, _, value in (line.partition(" ") for line in lines if line[0] != "#")}
        prompt = values["llamacpp:prompt_tokens_total"] + values["llamacpp:prompt_tokens_cached_total"]
        return int(prompt), int(values["llamacpp:tokens_predicted_total"])


@pytest.fixture(scope="module")
def real(embedded_store: Path) -> Iterator[Real]:
    root = Path(tempfile.mkdtemp(prefix="aish-g-", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(embedded_store.parents[1]))
        patch.setenv("XDG_STATE_HOME", str(root / "state"))
        made = Real(root, store.pull("smollm2"))  # it is there
    try:
        yield made.start()
    finally:
        made.stop()
        shutil.rmtree(root, ignore_errors=True)


def chat(text: str, **fields: object) -> dict[str, object]:
    return {"model": "small", "messages": [{"role": "user", "content": text}], **fields}


def test_the_server_s_own_counts_equal_ours(real: Real) -> None:
    """Chat, streams, completions and embeddings, the gateway's own probe included."""
    _, key = real.agent()
    sdk = openai.OpenAI(base_url=f"{real.gateway.url}/v1", api_key=key, max_retries=0, timeout=60)
    for number in range(3):
        sdk.chat.completions.create(
            model="small", messages=[{"role": "user", "content": f"Name {number} rivers."}], max_tokens=12
        )
        events = sdk.chat.completions.create(
            model="small",
            messages=[{"role": "user", "content": "Say hello." * (number + 1)}],
            max_tokens=9,
            stream=True,
        )
        assert "".join(event.choices[0].delta.content or "" for event in events)
    sdk.completions.create(model="small", prompt="The capital of France is", max_tokens=4)
    assert len(sdk.embeddings.create(model="small", input=["a river", "two rivers and a lake"]).data) == 2
    table = real.daemon.ask(UsageQuery(by="model"))
    (row,) = table.rows
    assert (row.tokens.input, row.tokens.output) == real.counts()
    assert row.tokens.estimated == 0
    by_process = real.daemon.ask(UsageQuery(by="process"))
    assert sum(r.tokens.input + r.tokens.output for r in by_process.rows) == row.tokens.input + row.tokens.output


def test_a_budget_is_exact_on_the_real_model(real: Real) -> None:
    """Prompt tokens are counted by the server before anything is sent, so that not one token is above."""
    id, key = real.agent(budget=60)
    before = sum(real.counts())
    status, body, headers = real.gateway.chat(key, "Tell me a long story about the sea.", max_tokens=500)
    assert status == 200
    usage = body["usage"]
    assert usage["prompt_tokens"] + usage["completion_tokens"] <= 60
    assert headers["x-aish-max-tokens-lowered"] == str(60 - usage["prompt_tokens"])
    assert sum(real.counts()) - before == usage["total_tokens"]
    call = Call(real, key, "And then?", max_tokens=4)
    real.daemon.event(Hold, lambda e: e.id == id)
    real.daemon.change(id, budget_tokens=200)
    assert call.done()[0] == 200


def test_a_hang_up_frees_the_slot_and_the_estimate_is_near(real: Real) -> None:
    id, key = real.agent()
    before = sum(real.counts())
    client = Client(real, key, chat("Write about the history of Rome.", stream=True, max_tokens=2000))
    client.read_until(b'"content":')
    client.hang_up()
    tokens = real.daemon.settled(id, 1).tokens
    assert tokens.estimated == tokens.input + tokens.output
    _, other = real.agent()
    assert real.gateway.chat(other, "Hi", max_tokens=1)[0] == 200  # and both slots serve again
    worked = sum(real.counts()) - before
    assert tokens.input + tokens.output <= worked + 50
    assert worked < 400, "the server stopped soon after"


def test_too_long_a_prompt_is_the_error_that_clients_know(real: Real) -> None:
    _, key = real.agent()
    sdk = openai.OpenAI(base_url=f"{real.gateway.url}/v1", api_key=key, max_retries=0, timeout=60)
    with pytest.raises(openai.BadRequestError, match="exceeds the available context") as caught:
        sdk.chat.completions.create(model="small", messages=[{"role": "user", "content": "word " * 5000}])
    assert caught.value.code == "context_length_exceeded"


MISTAKES = {
    "batch": ("/v1/embeddings", {"input": "word " * 600}, "context_length_exceeded"),
    "tools": ("/v1/chat/completions", chat("x", tools=[{"type": "function"}]), None),
    "messages": ("/v1/chat/completions", {"model": "small", "messages": [{"content": "x"}]}, None),
    "image": (
        "/v1/chat/completions",
        chat([{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]),
        None,
    ),
    "audio": (
        "/v1/chat/completions",
        chat([{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]),
        None,
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_llama_cpp_calls_its_own_failure_is_told_as_the_client_s(real: Real, name: str) -> None:
    path, body, code = MISTAKES[name]
    counted = real.counts()
    status, reply, _ = real.gateway.call(path, {"model": "small", **body}, real.agent()[1])
    assert (status, reply["error"]["type"], reply["error"]["code"]) == (400, "invalid_request_error", code), reply
    assert real.gateway.chat(real.agent()[1], "Hi", max_tokens=1)[0] == 200
    assert real.counts()[1] - counted[1] == 1, "no probe: nobody doubts the server"


TEXTS = ["a river", "two rivers and a lake", "", "\u20ac \U0001f30a", "three rivers " * 20]


@pytest.mark.parametrize(
    ("path", "field", "prompts"),
    [
        ("/v1/embeddings", "input", "a river"),
        ("/v1/embeddings", "input", [text for text in TEXTS if text]),
        ("/v1/embeddings", "input", [[1, 2, 3], [4, 5]]),
        ("/v1/embeddings", "input", [1, 2, 3]),
        ("/v1/completions", "prompt", "The capital of France is"),
        ("/v1/completions", "prompt", [text for text in TEXTS if text]),
        ("/v1/completions", "prompt", [5, 6, 7]),
        ("/v1/completions", "prompt", [[5, 6], [7]]),
    ],
)
def test_prompts_of_every_form_are_counted_before_they_are_sent(
    real: Real, path: str, field: str, prompts: object
) -> None:
    """The budget is what the server works: an estimate from the bytes would hold the request."""
    body = {"model": "small", field: prompts, "max_tokens": 1}
    before = real.counts()
    assert real.gateway.call(path, body, real.agent()[1])[0] == 200
    worked = [after - begun for after, begun in zip(real.counts(), before, strict=True)]
    id, key = real.agent(budget=sum(worked))
    assert real.gateway.call(path, body, key)[0] == 200
    tokens = real.daemon.settled(id, 1).tokens
    assert [tokens.input, tokens.output] == worked


def test_prompts_of_both_kinds_are_bounded_by_their_bytes(real: Real) -> None:
    id, key = real.agent(budget=2000)
    body = {"model": "small", "prompt": ["a river", [7, 8]], "max_tokens": 2}
    assert real.gateway.call("/v1/completions", body, key)[0] == 200
    tokens = real.daemon.settled(id, 1).tokens
    assert (tokens.input, tokens.output) == (4, 4)


def shape(value: object) -> object:
    """The names and kinds of what is in it."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    return [shape(part) for part in value] if isinstance(value, list) else type(value)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", chat("Name a river.", max_tokens=5)),
        ("/v1/chat/completions", chat("Name a river.", max_tokens=5, n=2)),
        ("/v1/chat/completions", chat("Name a river.", max_tokens=3, logprobs=True, top_logprobs=2)),
        ("/v1/chat/completions", chat("Name a river.", logit_bias=[[2, 100]])),  # ends at once
        ("/v1/completions", {"prompt": "A river", "max_tokens": 5}),
        ("/v1/completions", {"prompt": ["A river", "A city"], "max_tokens": 3, "logprobs": 1}),
    ],
)
def test_an_answer_that_came_as_a_stream_is_what_the_server_itself_would_answer(
    real: Real, path: str, body: dict[str, object]
) -> None:
    """Greedy, so that even the words are the same; the ids, times and what was cached are not."""
    body = {**body, "model": "small", "temperature": 0}
    status, reply, _ = real.gateway.call(path, body, real.agent()[1])
    assert status == 200
    direct = json.loads(real.ask("POST", path, body))
    assert shape(reply) == shape(direct)
    assert reply["choices"] == direct["choices"]
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert reply["usage"][name] == direct["usage"][name]


def test_a_hang_up_without_a_stream_frees_its_slot_beside_a_live_one(real: Real) -> None:
    """llama.cpp goes on with an answer that nobody waits for, unless it is a stream."""
    _, key = real.agent()
    other = Client(real, key, chat("Write about the history of Rome.", stream=True, max_tokens=3000))
    other.read_until(b'"content":')
    id, key = real.agent()
    client = Client(real, key, chat("Write about the history of Greece.", max_tokens=3000))
    real.daemon.event(ActivityNote, lambda e: e.id == id and e.activity == "generating" and bool(e.tokens_per_s))
    began_s = time.monotonic()
    client.hang_up()
    assert real.gateway.chat(real.agent()[1], "Hi", max_tokens=1)[0] == 200  # there are two slots
    assert time.monotonic() - began_s < 5, "3000 tokens take longer"
    tokens = real.daemon.settled(id, 1).tokens
    assert 30 <= tokens.input <= 50
    assert 1 <= tokens.output < 1000
    other.read_until(b'"content":')
    other.hang_up()


def test_a_third_request_for_two_slots_waits_at_the_gateway_and_is_told_so(real: Real) -> None:
    """The server's own queue is first come, first served, and tells nobody."""
    real.wait_idle()
    busy = []
    for about in ("Rome", "Greece"):
        body = chat(f"Write about the history of {about}.", stream=True, max_tokens=3000)
        busy.append(Client(real, real.agent()[1], body))
        busy[-1].read_until(b'"content":')
    id, key = real.agent()
    call = Call(real, key, "Hi", max_tokens=1)
    note = real.daemon.event(ActivityNote, lambda e: e.id == id and e.doing == "1st of 1 for small")
    assert note.activity == "queued"
    metrics = real.ask("GET", "/metrics")
    assert ("llamacpp:requests_processing 2" in metrics, "llamacpp:requests_deferred 0" in metrics) == (True, True)
    busy[0].hang_up()
    assert call.done()[0] == 200
    busy[1].read_until(b'"content":')
    busy[1].hang_up()


def test_what_a_hang_up_is_billed_is_what_the_server_worked(real: Real) -> None:
    real.wait_idle()
    id, key = real.agent()
    before = real.counts()
    client = Client(real, key, chat("Write about the history of Greece.", max_tokens=3000))
    real.daemon.event(ActivityNote, lambda e: e.id == id and bool(e.tokens_per_s))
    client.hang_up()
    tokens = real.daemon.settled(id, 1).tokens
    real.wait_idle()
    worked = real.counts()[1] - before[1]
    assert abs(tokens.output - worked) <= UNTOLD_TOKENS, "what it makes in the time that the news takes is a guess"
    assert tokens.estimated == tokens.input + tokens.output


def test_tokens_are_counted_exactly(real: Real) -> None:
    _, key = real.agent()
    status, body, _ = real.gateway.call("/v1/aish/tokens", {"model": "default", "text": "hello world " * 10}, key)
    assert (status, body["exact"], body["context_tokens"]) == (200, True, 4096)
    assert 20 <= body["tokens"] <= 22


@pytest.mark.slow
def test_more_requests_than_slots_against_a_budget(real: Real) -> None:
    """The server's own counts never pass the budget with twelve requests at once."""
    id, key = real.agent(budget=300)
    before = sum(real.counts())
    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(real.gateway.chat, key, f"Count to {n}.", max_tokens=8) for n in range(12)]
        real.daemon.event(Hold, lambda e: e.id == id, DEADLINE_S)
        assert sum(real.counts()) - before <= 300
        real.daemon.change(id, budget_tokens=None)
        assert [answer.result(DEADLINE_S)[0] for answer in answers] == [200] * 12
    tokens = real.daemon.settled(id, 12).tokens
    assert tokens.input + tokens.output == sum(real.counts()) - before
    assert json.dumps(real.gateway.read_log()).count("Traceback") == 0


def test_several_answers_at_once_are_counted_all(real: Real) -> None:
    """llama.cpp tells the usage of one of them only."""
    id, key = real.agent()
    before = real.counts()
    status, body, _ = real.gateway.chat(key, "Say something.", max_tokens=6, n=2)
    assert (status, len(body["choices"])) == (200, 2)
    tokens = real.daemon.settled(id, 1).tokens
    generated = real.counts()[1] - before[1]
    assert abs(tokens.output - generated) <= 3
    assert tokens.estimated > 0
