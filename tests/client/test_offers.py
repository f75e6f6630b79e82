"""A running Ollama or a provider's key is offered with the exact command; nobody but this machine is asked."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from aish.client import offers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Home


class Ollama(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"version":"0.5.0"}' if self.path == "/api/version" else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def ollama() -> Iterator[int]:
    """Its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Ollama) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("", ("127.0.0.1", 11434)),
        ("0.0.0.0", ("127.0.0.1", 11434)),
        ("localhost:99", ("127.0.0.1", 99)),
        ("http://127.0.0.2:80/", ("127.0.0.2", 80)),
        ("[::1]:5", ("::1", 5)),
        (":99", ("127.0.0.1", 99)),
        ("example.com", None),
        ("10.0.0.1:11434", None),
        ("localhost:port", None),
    ],
)
def test_only_this_machine_is_asked(setting: str, place: tuple[str, int] | None) -> None:
    assert offers.ollama_place(setting) == place


def test_what_is_offered(ollama: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{ollama}")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-private")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "aish-p1-2-own")  # the gateway's, from `aish env`
    told = offers.lines()
    assert f"aish model serve ollama --url http://127.0.0.1:{ollama}/v1 --upstream-name NAME" in told[0]
    assert "--key-file ~/.openai.key" in told[1]
    assert len(told) == 2
    assert "sk-private" not in "".join(told)
    assert offers.lines(["ollama", "openai"]) == []  # used already


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert offers.offers() == []


def test_verbs_offer_and_take_nothing(home: Home, ollama: int) -> None:
    """Without a model of its own, aish said nothing of the one that ran beside it."""
    home.environ |= {"OLLAMA_HOST": f"127.0.0.1:{ollama}", "ANTHROPIC_API_KEY": "sk-ant-private"}
    done = home.aish("model", "ls")
    assert "no models" in done.stdout
    assert "aish model serve ollama --url" in done.stderr
    assert "aish model serve anthropic --url" in done.stderr
    assert home.aish("model", "ls", "--json").stderr == ""
    told = home.aish("doctor").stdout
    assert "offer: Ollama runs here" in told
    assert "sk-ant-private" not in told + done.stderr
    command = done.stderr.partition("to use it: aish ")[2].splitlines()[0].replace("NAME", "tiny").split()
    assert home.aish(*command, "--no-wait").returncode == 0
    done = home.aish("model", "ls")
    assert "Ollama runs here" not in done.stderr
