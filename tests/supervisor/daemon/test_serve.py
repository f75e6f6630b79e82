"""Stored models: started once for all who ask, by a plugin of the public interface, on demand of the gateway."""

from __future__ import annotations

import io
import json
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish import store
from aish.client import connect
from aish.errors import ConflictError, NotFoundError, UnavailableError
from aish.store import gguf_write
from aish.supervisor.daemon import spawning
from aish.wire.message import KeyNew, Serve, Stop
from aish.wire.message import Limit as _Limit
from aish.wire.reply import KeyMade, Started

if TYPE_CHECKING:
    from typing import Any

PLUGIN = """
import json, os, sys
from aish.spi.model_server import ServePlan
class Fake:
    name = "fake"
    def serves(self, model):
        return model.format == "gguf"
    def missing(self):
        return os.environ.get("FAKE_MISSING") or None
    def plan(self, model, socket_path):
        return ServePlan(argv=(sys.executable, "-I", "-S", __file__, socket_path), url=f"unix:{socket_path}",
                         environ={"FAKE_DIGEST": model.digest}, upstream_name=model.name, context_tokens=512)
def server():
    return Fake()
"""
SERVER = """
import http.server, json, os, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def address_string(self): return "-"
    def log_message(self, *words): pass
    def do_GET(self): self.answer({"object": "list", "data": [{"id": "tiny", "object": "model"}]})
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        said = {"role": "assistant", "content": os.environ["FAKE_DIGEST"]}
        self.answer({"id": "1", "object": "chat.completion", "created": 0, "model": "tiny",
                     "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
                     "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
    def answer(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
if os.path.exists(sys.argv[1]):
    os.unlink(sys.argv[1])
Server(sys.argv[1], Handler).serve_forever()
"""


@pytest.fixture
def plugin(home: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model server as somebody else would install it: found by its entry point alone."""
    folder = Path(home.root) / "site"
    info = folder / "fake_server-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-server\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aish.model_server]\na_fake = fake_server:server\n")
    (folder / "fake_server.py").write_text(
        "import sys\nif __name__ == '__main__':\n    exec("
        + repr(SERVER)
        + ")\nelse:\n    exec("
        + repr(PLUGIN)
        + ")\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.fixture
def stored(home: Any) -> str:
    """The name of a tiny model in the private store."""
    stream = io.BytesIO()
    keys: dict[str, gguf_write.Value] = {
        "general.architecture": "llama",
        "general.file_type": 0,
        "llama.context_length": 2048,
        "tokenizer.chat_template": "{{ messages }}",
        "tokenizer.ggml.tokens": ["a", "b"],
    }
    gguf_write.write(stream, keys, [gguf_write.Tensor("blk.0.weight", (64,), gguf_write.F32, bytes(256))])
    path = Path(home.root) / "tiny.gguf"
    path.write_bytes(stream.getvalue())
    return store.import_gguf(str(path)).name


@pytest.fixture
def ready(plugin: Path, stored: str, up: Any) -> Any:
    """A supervisor with the model and the plugin."""
    return up


def serve(up: Any, model: str) -> Started:
    started = up.client.ask(Started, Serve(model=model))
    assert isinstance(started, Started)
    return started


def test_a_model_is_served_once(ready: Any) -> None:
    first = serve(ready, "tiny")
    assert (first.name, first.existed) == ("tiny", False)
    assert ready.wait("tiny", until="ready").state in ("ready", "running", "idle")
    row = ready.row("tiny")
    assert (row.kind, row.parent) == ("model", None)
    again = serve(ready, "tiny")
    assert (again.id, again.existed) == (first.id, True)
    spec = ready.inspect("tiny").spec
    assert spec.route.digest == store.find("tiny").digest
    assert spec.route.context_tokens == 512
    sock = Path(spec.route.url.removeprefix("unix:"))
    assert sock.exists()
    ready.client.request(Stop(target="tiny"))
    ready.wait("tiny")
    assert not sock.exists()
    assert serve(ready, "tiny").id != first.id


def test_ten_who_ask_at_once_get_the_same(ready: Any) -> None:
    answers: list[str] = []

    def ask() -> None:
        with connect() as client:
            answers.append(client.ask(Started, Serve(model="tiny")).id)

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 10
    assert len(set(answers)) == 1


def test_the_gateway_has_it_started_on_demand(ready: Any) -> None:
    """A request for a stored model that does not run starts it and is answered by it."""
    key = ready.client.ask(KeyMade, KeyNew(name="me"))
    body = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "x"}]}).encode()
    request = urllib.request.Request(
        f"{key.base_url}/chat/completions",
        body,
        {"Authorization": f"Bearer {key.key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        told = json.load(reply)["choices"][0]["message"]["content"]
    assert told == store.find("tiny").digest
    assert "needed" in [event.kind for event in ready.events() if event.name == "tiny"]


def test_a_stored_model_that_cannot_be_loaded_is_tried_once_and_the_request_told_why(stored: str, up: Any) -> None:
    """The real llama.cpp, on a file with one tensor: it was started again and again until the request gave up."""
    key = up.client.ask(KeyMade, KeyNew(name="me"))
    request = urllib.request.Request(
        f"{key.base_url}/chat/completions",
        json.dumps({"model": stored, "messages": [{"role": "user", "content": "x"}]}).encode(),
        {"Authorization": f"Bearer {key.key}", "Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    with caught.value as reply:
        message = json.load(reply)["error"]["message"]
    assert caught.value.code == 503
    assert "it ended before it was ever ready" in message
    assert "(exit status 65)" in message
    assert len([event for event in up.events() if event.name == stored and event.kind == "created"]) == 1


def test_a_model_that_was_pulled_later_is_known_to_the_gateway(plugin: Path, up: Any, request: Any) -> None:
    key = up.client.ask(KeyMade, KeyNew(name="me"))
    request.getfixturevalue("stored")
    connect().close()  # any use of aish makes the daemon look

    def listed() -> bool:
        listing = urllib.request.Request(f"{key.base_url}/models", headers={"Authorization": f"Bearer {key.key}"})
        with urllib.request.urlopen(listing, timeout=60) as reply:
            return "tiny" in [entry["id"] for entry in json.load(reply)["data"]]

    up.until("the gateway lists it", listed)


def test_a_process_asks_for_a_model_in_its_own_name_only(ready: Any) -> None:
    """It may have a stored model run, as its requests would; limits stay the user's."""
    import sys

    code = (
        "from aish.client import connect\nfrom aish.wire.message import *\nfrom aish.wire.reply import *\n"
        "from aish.wire.part import *\nfrom aish.wire.spec import *\n"
        "client = connect(start=False)\n"
        "print(client.ask(Started, Serve(model='tiny', launch=LaunchPart(environ=[b'EVIL=1']))).name)\n"
    )
    started = ready.spawn(sys.executable, "-c", code)
    assert ready.code(started.id) == 0, ready.log(started.id)
    assert ready.log(started.id)[0] == "tiny\n"
    inspected = ready.inspect("tiny")
    assert inspected.process.parent is None
    assert "EVIL" not in inspected.launch.environ_names
    ready.client.request(_Limit(target="tiny", nice="19"))


def test_what_cannot_be_served_says_why(ready: Any) -> None:
    with pytest.raises(NotFoundError) as error:
        serve(ready, "tinny")
    assert "tiny" in (error.value.hint or "")
    ready.spawn("sleep", "62", name="tiny")
    with pytest.raises(ConflictError, match="the name tiny is taken by the command p1"):
        serve(ready, "tiny")


class Missing:
    """A server that is not installed in full."""

    name = "missing"

    def __init__(self, serves: bool) -> None:
        self._serves = serves

    def serves(self, model: object) -> bool:
        return self._serves

    def missing(self) -> str:
        return "to run models, xyz is needed: pip install xyz"


def test_a_server_that_lacks_something_says_what(stored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin's own sentence, with the command that helps, not 'cannot be served'."""
    monkeypatch.setattr(spawning, "_servers", lambda: [Missing(False), Missing(True)])
    with pytest.raises(UnavailableError, match="pip install xyz"):
        spawning.plan_model(stored, "/x")
    monkeypatch.setattr(spawning, "_servers", lambda: [Missing(False)])
    with pytest.raises(UnavailableError, match="no installed model server can run tiny"):
        spawning.plan_model(stored, "/x")
