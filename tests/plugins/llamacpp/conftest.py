"""The models that come with aish, and servers that run them."""

from __future__ import annotations

import http.client
import json
import os
import select
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish import store
from aish.plugins.llamacpp import server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aish.spi.model_server import ServePlan, StoredModel

READY_S = 90.0


@pytest.fixture(scope="session")
def models(both_store: Path) -> Path:
    """A data folder with smollm2 and minilm."""
    return both_store.parents[1]


@pytest.fixture
def stored(models: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], StoredModel]:
    monkeypatch.setenv("XDG_DATA_HOME", str(models))
    return store.find


class Reply:
    def __init__(self, status: int, data: bytes) -> None:
        self.status = status
        self.data = data

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class Running:
    """A server of the plugin in a process of its own, and requests to it."""

    def __init__(self, plan: ServePlan, log: Path) -> None:
        self.plan = plan
        self.path = plan.url.removeprefix("unix:")
        self.log = log
        with open(log, "wb") as stderr:
            self.process = subprocess.Popen(plan.argv, env=os.environ | plan.environ, cwd="/", stderr=stderr)

    def connection(self, timeout_s: float = 60.0) -> http.client.HTTPConnection:
        path = self.path

        class Connection(http.client.HTTPConnection):
            def connect(self) -> None:
                self.sock = socket.socket(socket.AF_UNIX)
                self.sock.settimeout(timeout_s)
                self.sock.connect(path)

        return Connection("localhost")

    def send(self, method: str, path: str, body: bytes | None = None) -> Reply:
        connection = self.connection()
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            return Reply(answer.status, answer.read())
        finally:
            connection.close()

    def post(self, path: str, value: object) -> Reply:
        return self.send("POST", path, json.dumps(value).encode())

    def chat(self, text: str, **more: object) -> Reply:
        return self.post("/v1/chat/completions", {"messages": [{"role": "user", "content": text}], **more})

    def counts(self) -> dict[str, int]:
        """The server's own: tokens of prompts it worked on or had cached, tokens that it made, requests under way."""
        text = self.send("GET", "/metrics").data.decode()
        values = dict(line.split() for line in text.splitlines() if not line.startswith("#"))
        number = {key: int(float(values[f"llamacpp:{key}"])) for key in (
            "prompt_tokens_total", "prompt_tokens_cached_total", "tokens_predicted_total",
            "requests_processing", "requests_deferred",
        )}  # fmt: skip
        return {
            "input": number["prompt_tokens_total"] + number["prompt_tokens_cached_total"],
            "output": number["tokens_predicted_total"],
            "busy": number["requests_processing"] + number["requests_deferred"],
        }

    def wait_ready(self, embeddings: bool = False) -> None:
        deadline = time.monotonic() + READY_S
        body: dict[str, object] = {"input": "x"} if embeddings else {"prompt": "x", "max_tokens": 1}
        while True:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            try:
                if self.post("/v1/embeddings" if embeddings else "/v1/completions", body).status == 200:
                    return
            except OSError:
                pass
            select.select([], [], [], 0.02)  # there is no event for 'a socket file accepts'

    def wait_idle(self, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while self.counts()["busy"]:
            assert time.monotonic() < deadline, "the server goes on working for nobody"
            select.select([], [], [], 0.02)

    def wait_busy(self, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not self.counts()["busy"]:
            assert time.monotonic() < deadline, "the request was never begun"
            select.select([], [], [], 0.005)

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(10)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Short, for sockets."""
    with tempfile.TemporaryDirectory(prefix="aish-s-") as path:
        yield Path(path)


@pytest.fixture(autouse=True, scope="session")
def state(folder: Path) -> Iterator[None]:
    """Where servers save KV slots: nothing of a test is left in the home of who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        yield


@pytest.fixture
def run(folder: Path, stored: Callable[[str], StoredModel]) -> Iterator[Callable[..., Running]]:
    """Starts a server for one test: `run("smollm2", ctx="512")`."""
    made: list[Running] = []

    def start(name: str, **options: str) -> Running:
        import dataclasses

        model = stored(name)
        model = dataclasses.replace(model, options=model.options | options)
        number = len(list(folder.iterdir()))
        one = Running(server().plan(model, str(folder / f"{number}.sock")), folder / f"{number}.log")
        made.append(one)
        return one

    yield start
    for one in made:
        one.process.kill()
        one.process.wait()


def _shared(models: Path, folder: Path, name: str) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(models))
        model = store.find(name)
    one = Running(server().plan(model, str(folder / f"{name}.sock")), folder / f"{name}.log")
    try:
        one.wait_ready(embeddings=name == "minilm")
        yield one
    finally:
        one.process.kill()
        one.process.wait()


@pytest.fixture(scope="module")
def smollm2(models: Path, folder: Path) -> Iterator[Running]:
    yield from _shared(models, folder, "smollm2")


@pytest.fixture(scope="module")
def minilm(models: Path, folder: Path) -> Iterator[Running]:
    yield from _shared(models, folder, "minilm")
