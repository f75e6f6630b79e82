"""From a name to a ready server: loading, starting on demand, remote servers with a real key that nobody sees."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, BinaryIO

import openai
import pytest

from aish.supervisor.gateway.models import _not_found
from aish.supervisor.gateway.routes import Unknown
from aish.wire.link import ActivityNote, Need, Readiness, ServeFailed
from aish.wire.spec import BudgetPart

from .test_limits import Call
from .upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import World

KEY = "sk-real-0123456789abcdef"


@pytest.fixture
def another(shared: World) -> Iterator[Upstream]:
    """A second server, over TCP, in which nothing of llama.cpp is known. Not started."""
    made = Upstream("127.0.0.1:0", context=1000)
    yield made
    for id in ("p20", "p21", "p22", "p23"):
        if id in shared.daemon.members:
            shared.daemon.change(id, alive=False)
    made.stop()


def test_a_loading_server_is_no_until_it_answers_with_a_token(shared: World, another: Upstream) -> None:
    _, key = shared.agent()
    another.loading = True
    another.start()
    shared.daemon.model("p20", "loading", another.route)
    shared.daemon.event(Readiness, lambda e: e.id == "p20" and e.ready == "no" and "Loading" in e.text)
    models = {m["id"]: m for m in shared.gateway.call("/v1/models", key=key)[1]["data"]}
    assert models["loading"]["state"] == "loading"
    call = Call(shared, key, "say 1", model="loading")
    shared.daemon.event(ActivityNote, lambda e: e.doing == "waits for loading to get ready")
    assert call.answer is None
    another.loading = False
    assert call.done()[0] == 200
    ready = shared.daemon.ready("p20")
    assert ready.context_tokens == 1000, "from the listing, where there is no /props"


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ((401, "who are you"), "refuses aish's key (401)"),
        ((403, "not you"), "refuses aish's key (403)"),
        ((404, "nothing here"), "is no model server: it answers 404: nothing here"),
        ((404, "<html>"), "is no model server: it answers 404"),
        ((200, "<html>"), "is no model server: it answers with HTML"),
        ((400, "<html>"), "is no model server: it answers 400"),
        ((302, "<html>"), "is no model server: it answers 302"),
    ],
)
def test_what_waiting_does_not_mend_is_told_at_once(
    shared: World, another: Upstream, broken: tuple[int, str], told: str
) -> None:
    """A request waited for ten minutes, and nobody knew for what."""
    another.broken = broken
    another.start()
    shared.daemon.model("p20", "wrong", another.route)
    for _ in range(2):
        status, body, _ = Call(shared, shared.agent()[1], "say 1", model="wrong").done()
        assert (status, body["error"]["type"]) == (502, "upstream_error")
        assert told in body["error"]["message"]
    text = told.partition(" aish's key")[0]  # as ps shows it
    assert shared.daemon.event(Readiness, lambda e: e.id == "p20" and text in e.text).ready == "no"
    another.broken = None
    assert shared.gateway.chat(shared.agent()[1], "say 1", model="wrong")[0] == 200, "mended: asked before refused"


def waits(world: World, key: str) -> str:
    told: str = world.gateway.call("/v1/aish/waits", key=key)[1]["waits"]
    return told


def until_told(world: World, key: str, words: str) -> None:
    deadline_s = time.monotonic() + 20
    while (told := waits(world, key)) != words:
        assert time.monotonic() < deadline_s, told
        time.sleep(0.02)


def test_a_server_that_fails_is_waited_for_and_why_is_told(shared: World, another: Upstream) -> None:
    another.broken = (500, "out of memory")
    another.start()
    shared.daemon.model("p20", "sick", another.route)
    _, key = shared.agent()
    call = Call(shared, key, "say 1", model="sick")
    until_told(shared, key, "waiting for sick: its server answers 500: out of memory")
    assert waits(shared, shared.agent()[1]) == "", "of others nothing"
    assert call.answer is None
    another.broken = None
    assert call.done()[0] == 200
    assert waits(shared, key) == ""


def test_a_paused_model_is_told_and_asked_once_it_goes_on(shared: World, another: Upstream) -> None:
    another.start()
    shared.daemon.model("p22", "calm", another.route)
    shared.daemon.ready("p22")
    shared.daemon.change("p22", held=True)
    _, key = shared.agent()
    call = Call(shared, key, "say 1", model="calm")
    until_told(shared, key, "calm is paused: aish cont calm")
    asked = len(another.requests)
    assert call.answer is None
    shared.daemon.change("p22", held=False)
    assert call.done()[0] == 200
    assert len(another.requests) == asked + 1


def test_a_model_that_is_paused_while_it_answers_is_told(shared: World, another: Upstream) -> None:
    another.start()
    shared.daemon.model("p23", "calm", another.route)
    shared.daemon.ready("p23")
    _, key = shared.agent()
    call = Call(shared, key, "gate say 1", model="calm")
    another.wait_for(lambda server: server.active == 1)
    assert waits(shared, key) == ""
    shared.daemon.change("p23", held=True)
    until_told(shared, key, "calm is paused: aish cont calm")
    shared.daemon.change("p23", held=False)
    another.open_gate()
    assert call.done()[0] == 200


def test_a_server_that_cannot_chat_is_probed_with_an_embedding(shared: World, another: Upstream) -> None:
    another.chat = False
    another.start()
    shared.daemon.model("p20", "embedder", another.route)
    shared.daemon.ready("p20")
    status, body, _ = shared.gateway.call("/v1/embeddings", {"model": "embedder", "input": "a"}, shared.agent()[1])
    assert (status, body["model"]) == (200, "embedder")
    status, body, _ = shared.gateway.chat(shared.agent()[1], "x", model="embedder")
    assert status == 501
    assert "does not support chat" in body["error"]["message"]


def test_a_stored_model_is_started_for_whoever_asks_and_the_wait_is_told(shared: World, another: Upstream) -> None:
    another.start()
    shared.daemon.stored = ["cold"]
    links = shared.daemon.links
    shared.daemon.stop()
    shared.daemon.start()
    shared.daemon.wait_for(lambda daemon: daemon.links > links)
    id, key = shared.agent()
    models = {m["id"]: m["state"] for m in shared.gateway.call("/v1/models", key=key)[1]["data"]}
    assert models["cold"] == "stored"
    call = Call(shared, key, "say 1", model="cold:latest")
    need = shared.daemon.event(Need)
    assert (need.model, need.asked_by) == ("cold", id)
    note = shared.daemon.event(ActivityNote, lambda e: e.id == id and e.doing == "waits for cold to start")
    assert note.activity == "queued"
    # a daemon that is killed in between is asked again by the same wait
    needs = len(shared.daemon.events(Need))
    shared.daemon.stop()
    shared.daemon.start()
    shared.daemon.wait_for(lambda daemon: sum(isinstance(e, Need) for e in daemon.heard) > needs)
    shared.daemon.model("p21", "cold", another.route)
    status, body, _ = call.done()
    assert (status, body["model"]) == (200, "cold:latest")


def test_a_model_that_cannot_be_started_is_a_503_with_the_reason(shared: World) -> None:
    shared.daemon.stored = ["broken"]
    links = shared.daemon.links
    shared.daemon.stop()
    shared.daemon.start()
    shared.daemon.wait_for(lambda daemon: daemon.links > links)
    for _ in range(2):
        needs = sum(e.model == "broken" for e in shared.daemon.events(Need))
        call = Call(shared, shared.agent()[1], "say 1", model="broken")
        shared.daemon.wait_for(
            lambda daemon, needs=needs: sum(isinstance(e, Need) and e.model == "broken" for e in daemon.heard) > needs
        )
        shared.daemon.send(ServeFailed(model="broken", message="it needs 9 GiB", hint="free some memory"))
        status, body, _ = call.done()
        assert status == 503
        assert "it needs 9 GiB (free some memory)" in body["error"]["message"]


@pytest.mark.parametrize("told", [True, False])
def test_a_stored_model_that_gives_up_while_it_loads_is_not_asked_for_again(
    shared: World, another: Upstream, told: bool
) -> None:
    """It was started again and again, for the ten minutes that a request waits."""
    another.loading = True
    another.start()
    name = f"hopeless-{told}"
    shared.daemon.stored = [name]
    links = shared.daemon.links
    shared.daemon.stop()
    shared.daemon.start()
    shared.daemon.wait_for(lambda daemon: daemon.links > links)
    call = Call(shared, shared.agent()[1], "say 1", model=name)
    shared.daemon.event(Need, lambda e: e.model == name)
    shared.daemon.model("p21", name, another.route)
    shared.daemon.event(ActivityNote, lambda e: e.doing == f"waits for {name} to get ready")
    if told:
        shared.daemon.send(ServeFailed(model=name, message="it is no model (exit status 65)", hint="aish logs"))
    shared.daemon.change("p21", alive=False)
    status, body, _ = call.done()
    assert status == 503
    assert ("it is no model (exit status 65)" if told else "ended before it was ready") in body["error"]["message"]
    assert [e.model for e in shared.daemon.events(Need)].count(name) == 1


def test_a_model_that_ends_while_it_is_waited_for(shared: World, another: Upstream) -> None:
    another.loading = True
    another.start()
    shared.daemon.model("p20", "doomed", another.route)
    call = Call(shared, shared.agent()[1], "say 1", model="doomed")
    shared.daemon.event(ActivityNote, lambda e: e.doing == "waits for doomed to get ready")
    shared.daemon.change("p20", alive=False)
    status, body, _ = call.done()
    assert status == 503
    assert "ended before it was ready" in body["error"]["message"]


@pytest.mark.slow
def test_a_refused_key_is_not_tried_all_the_time(shared: World, another: Upstream) -> None:
    """Sixteen times a second: a vendor behind a proxy on this machine would lock the account."""
    another.broken = (401, "no")
    another.start()
    shared.daemon.model("p20", "remote", another.route)
    shared.daemon.event(Readiness, lambda e: e.id == "p20" and "refuses the key" in e.text)
    begun, began_s = len(another.paths), time.monotonic()
    another.wait_for(lambda server: len(server.paths) >= begun + 2 * 3)  # each time it is asked in three ways
    assert time.monotonic() - began_s > 0.9
    another.broken = None
    shared.daemon.ready("p20")


def test_what_a_server_refuses_for_good_is_told_to_who_asks(shared: World, another: Upstream) -> None:
    """It waited for ten minutes, while the reason was known."""
    another.broken = (402, "pay first")
    another.start()
    shared.daemon.model("p20", "remote", another.route)
    status, body, _ = shared.gateway.chat(shared.agent()[1], "say 1", model="remote")
    assert status == 502
    assert "answers 402: pay first" in body["error"]["message"]


def test_a_model_that_takes_only_the_newer_word_for_a_limit(shared: World, another: Upstream) -> None:
    another.newer = True
    another.start()
    shared.daemon.model("p20", "remote", another.route)
    shared.daemon.ready("p20")
    id, key = shared.agent()
    shared.daemon.change(id, budget=BudgetPart(output_tokens=2))
    answer = shared.gateway.chat(key, "say 5 w", model="remote")[1]
    assert answer["choices"][0]["message"]["content"] == "w w "
    assert another.requests[-1]["max_completion_tokens"] == 2


def test_a_real_key_goes_upstream_and_nowhere_else(shared: World, another: Upstream) -> None:
    file = shared.root / "real.key"
    file.write_text(f"{KEY}\nsecond line\n")
    file.chmod(0o600)
    another.start()
    shared.daemon.model("p20", "remote", another.route, key_file=str(file))
    shared.daemon.ready("p20")
    _, key = shared.agent()
    sdk = openai.OpenAI(base_url=f"{shared.gateway.url}/v1", api_key=key, max_retries=0)
    sdk.chat.completions.create(model="remote", messages=[{"role": "user", "content": "say 1"}])
    assert {headers["Authorization"] for headers in another.headers} == {f"Bearer {KEY}"}
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="remote", messages=[{"role": "user", "content": "echo"}])
    assert "Bearer ***" in str(caught.value)
    assert KEY not in str(caught.value)
    assert KEY not in shared.gateway.read_log()
    assert KEY.encode() not in (shared.gateway.state / "gateway.db").read_bytes()
    with contextlib.suppress(PermissionError), open(f"/proc/{shared.gateway.pid}/environ", "rb") as environ:
        assert KEY.encode() not in environ.read()  # which none but root may read


@pytest.mark.parametrize("engine", ["llama.cpp", "another"])
@pytest.mark.parametrize("streams", [True, False])
def test_a_real_key_in_an_answer_reaches_nobody(shared: World, another: Upstream, engine: str, streams: bool) -> None:
    """Also where it comes in two reads, and in an error that is told inside the stream."""
    file = shared.root / "real.key"
    file.write_text(KEY)
    file.chmod(0o600)
    another.llamacpp = engine == "llama.cpp"
    another.start()
    shared.daemon.model("p20", "remote", another.route, key_file=str(file))
    shared.daemon.ready("p20")
    _, key = shared.agent()
    body = {"model": "remote", "messages": [{"role": "user", "content": "say 2 leak"}], "stream": streams}
    request = urllib.request.Request(
        f"{shared.gateway.url}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            text = reply.read().decode()
    except urllib.error.HTTPError as error:  # the error at the end of a stream that was put together
        with error:
            text = error.read().decode()
    assert "your Bearer ***" in text
    assert KEY not in text


def test_a_real_key_that_a_probe_is_told_is_not_shown(shared: World, another: Upstream) -> None:
    """Readiness goes to the log, into events, to `ps` and to whoever serves the model."""
    file = shared.root / "real.key"
    file.write_text(KEY)
    file.chmod(0o600)
    another.echoes = True
    another.start()
    shared.daemon.model("p20", "remote", another.route, key_file=str(file))
    event = shared.daemon.event(Readiness, lambda e: e.id == "p20" and "what is" in e.text)
    assert "Bearer ***" in event.text
    assert KEY not in shared.gateway.read_log()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_real_key_is_our_fault_not_the_client_s(shared: World, another: Upstream, status: int) -> None:
    """A client that got a 401 would think that its own key is wrong."""
    another.start()
    shared.daemon.model("p20", "remote", another.route)
    shared.daemon.ready("p20")
    code, body, _ = shared.gateway.chat(shared.agent()[1], f"status {status}", model="remote")
    assert code == 502
    assert f"refuses aish's key ({status})" in body["error"]["message"]


def test_a_key_file_that_others_can_read_is_refused(shared: World, another: Upstream) -> None:
    file = shared.root / "open.key"
    file.write_text(KEY)
    file.chmod(0o644)
    another.start()
    shared.daemon.model("p20", "remote", another.route, key_file=str(file))
    event = shared.daemon.event(
        Readiness, lambda e: e.id == "p20" and e.ready == "no" and "others can read" in e.text
    )
    assert KEY not in event.text
    assert not another.requests
    os.chmod(file, 0o600)
    shared.daemon.ready("p20")


@pytest.mark.parametrize(
    "url", ["http://a..b/v1", f"http://{'a' * 70}.b/v1", "http://[::1/v1", "unix:/tmp/a\0b", "x"]
)
def test_an_address_that_is_none_is_told_and_harms_nobody(shared: World, url: str) -> None:
    """It ended the probe: the model was loading for ever."""
    shared.daemon.model("p20", "odd", url)
    shared.daemon.event(Readiness, lambda e: e.id == "p20" and e.ready == "no" and "address of odd" in e.text)
    assert shared.gateway.chat(shared.agent()[1], "say 1")[0] == 200
    shared.daemon.change("p20", alive=False)


class OneAnswer(threading.Thread):
    """A server that closes every connection at its second request, as one whose idle time just ran out."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        self.closed = 0
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        body = b'{"model":"inner","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
        with connection, connection.makefile("rb") as stream:
            self._read(stream)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            connection.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            if self._read(stream):
                self.closed += 1

    def _read(self, stream: BinaryIO) -> bool:
        length = 0
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        stream.read(length)
        return bool(line)


def test_a_kept_connection_that_the_server_closes_is_replaced(shared: World) -> None:
    """The closing crosses our next request: it must not fail of that."""
    server = OneAnswer()
    shared.daemon.model("p20", "kept", server.url)
    shared.daemon.ready("p20")
    _, key = shared.agent()
    assert [shared.gateway.chat(key, "x", model="kept")[0] for _ in range(6)] == [200] * 6
    assert server.closed > 0, "the crossing happened"
    shared.daemon.change("p20", alive=False)
    server.listener.close()


def test_names_are_found_in_all_their_forms(shared: World) -> None:
    _, key = shared.agent()
    for name in ("small", "@small", "small:latest", "p1", "inner", "default", "", None):
        status, body, _ = shared.gateway.chat(key, "say 1", model=name)
        assert (status, body["model"]) == (200, name or "small")
    status, body, _ = shared.gateway.chat(key, "say 1", model="gpt-9")
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert "small" in body["error"]["message"]


@pytest.mark.parametrize(("count", "last"), [(2, "m1"), (8, "m7"), (9, "m7, …")])
def test_names_that_are_left_out_are_not_taken_for_all(count: int, last: str) -> None:
    error = _not_found(Unknown("gpt-9", None, tuple(f"m{number}" for number in range(count))))
    assert error.hint is not None
    assert error.hint.endswith(f", {last}")
