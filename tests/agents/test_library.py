"""The built-in agents on the embedded model: sentences about the text, not loops; a title, not an essay."""

from __future__ import annotations

import http.client
import os
import re
import select
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish import store
from aish.agents import find as agents
from aish.agents.invocation import command
from aish.plugins.llamacpp import server as llamacpp

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.model
DEADLINE_S = 90.0
NOTES = Path(__file__).resolve().parents[2] / "examples" / "notes"
SHORT = ("boiler-pressure", "cello-bridge", "quantised-twin", "sourdough-in-january")


class Relay:
    """The model's Unix socket as a loopback port: what the gateway is in real life, without keys and counting."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE_S)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with near, socket.socket(socket.AF_UNIX) as far:
                far.connect(self._path)
                self._carry(near, far)

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        poll = select.poll()
        peers = {near.fileno(): (near, far), far.fileno(): (far, near)}
        for fd in peers:
            poll.register(fd, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                source, target = peers[fd]
                try:
                    data = source.recv(65536)
                    if not data:
                        return
                    target.sendall(data)
                except OSError:
                    return


@pytest.fixture(scope="module")
def address(embedded_store: Path) -> Iterator[str]:
    """Of a server that runs smollm2."""
    with tempfile.TemporaryDirectory(prefix="aish-l-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(embedded_store.parents[1]))
        patch.setenv("XDG_STATE_HOME", folder)
        path = f"{folder}/llm.sock"
        plan = llamacpp().plan(store.find("smollm2"), path)
        with open(f"{folder}/log", "wb") as log:
            process = subprocess.Popen(
                plan.argv, env=os.environ | plan.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        ended = select.poll()
        pidfd = os.pidfd_open(process.pid)
        ended.register(pidfd, select.POLLIN)
        try:
            for _ in range(int(DEADLINE_S * 10)):  # being ready has no event of its own
                if _ready(path) or ended.poll(100):
                    break
            assert _ready(path), Path(f"{folder}/log").read_text(errors="replace")
            relay = Relay(path)
            try:
                yield relay.url
            finally:
                relay.close()
        finally:
            os.close(pidfd)
            process.terminate()
            process.wait(DEADLINE_S)


def _ready(path: str) -> bool:
    """It listens before it has loaded the model, and answers 503 until then."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.connect(path)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def ask(address: str, name: str, text: str) -> str:
    file = agents.locate(name, "/")
    done = subprocess.run(
        command((), file=file),
        input=text,
        text=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "OPENAI_BASE_URL": address},
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def from_the_text(answer: str, text: str) -> float:
    """Share of its longer words that the text has, too."""
    long_words = [word for word in words(answer) if len(word) > 4]
    known = set(words(text))
    return sum(word in known for word in long_words) / max(1, len(long_words))


def looped(answer: str) -> bool:
    said = words(answer)
    runs = list(zip(said, said[1:], said[2:], strict=False))
    return len(set(runs)) < 0.6 * len(runs)


@pytest.mark.slow
def test_summaries_are_sentences_about_the_text(address: str) -> None:
    """A 135M model errs in details; it must stay with its text, come to an end, and not repeat itself."""
    near = 0
    for name in SHORT:
        text = (NOTES / f"{name}.md").read_text()
        answer = ask(address, "summarise", text)
        assert 5 <= len(words(answer)) <= 90, answer
        assert answer.rstrip()[-1] in ".!?…\"'”)", answer
        assert not looped(answer), answer
        near += from_the_text(answer, text) >= 0.5
    assert near >= len(SHORT) - 1


@pytest.mark.slow
def test_a_title_is_one_line_of_the_texts_words(address: str) -> None:
    text = "The night train left at ten. In the morning there was another country, and the coffee came late."
    title = ask(address, "title", text)
    assert title.count("\n") == 1
    assert 1 <= len(words(title)) <= 20
    assert "train" in title.lower()
