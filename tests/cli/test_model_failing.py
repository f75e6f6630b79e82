"""What a person sees of a model that cannot be asked: a refused key, a server that rests, another that answers."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.deadline import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Home

KEY = "sk-a-real-key-of-the-user"


class Server(http.server.ThreadingHTTPServer):
    """Of OpenAI's dialect. `status` other than 200: every request is answered with that and `retry_after`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.retry_after = 200, ""
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._answer({"object": "list", "data": []})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        self._answer({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage})

    def _answer(self, value: dict[str, Any]) -> None:
        status = self.server.status
        data = json.dumps(value if status == 200 else {"error": {"message": "Overloaded"}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if self.server.retry_after:
            self.send_header("Retry-After", self.server.retry_after)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        try:
            yield made
        finally:
            made.shutdown()


def chat(home: Home, model: str) -> tuple[int, dict[str, str]]:
    """Status and headers of one request, by a key of its own."""
    told = json.loads(home.aish("env", "--json").stdout)
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}]}).encode()
    headers = {"Authorization": f"Bearer {told['OPENAI_API_KEY']}", "Content-Type": "application/json"}
    request = urllib.request.Request(told["OPENAI_BASE_URL"] + "/chat/completions", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, {name.lower(): value for name, value in reply.headers.items()}
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {name.lower(): value for name, value in error.headers.items()}


def test_a_refused_key_is_told_by_every_verb_and_shown_by_none(home: Home, server: Server) -> None:
    """Only who served it was told; inspect, logs, doctor and events were silent."""
    file = home.root / "real.key"
    file.write_text(KEY)
    file.chmod(0o600)
    server.status = 401
    done = home.aish("model", "serve", "big", "--url", server.url, "--key-file", str(file), "--price", "input=3")
    assert done.returncode == 69
    assert "will not get ready by waiting: its server refuses the key (401)" in done.stderr
    why = "its server refuses the key (401)"
    told = {
        "inspect": home.aish("inspect", "big"),
        "logs": home.aish("logs", "big"),
        "doctor": home.aish("doctor"),
        "events": home.aish("events", "--kind", "unusable"),
        "why": home.aish("why", "big"),
        "ps": home.aish("ps"),
    }
    for verb, shown in told.items():
        assert why in shown.stdout + shown.stderr, verb
        assert KEY not in shown.stdout + shown.stderr
    assert f"big: {why}" in told["doctor"].stdout
    assert server.url in told["logs"].stderr, "where what it writes can be looked at"
    lines = dict(line.split(maxsplit=1) for line in told["inspect"].stdout.splitlines() if line[:1].isalpha())
    assert (lines["model"], lines["server"], lines["key"]) == (server.url, "speaks openai", f"file:{file}")
    assert lines["price"] == "input=3 output=0"


def test_a_key_file_that_is_not_there_reads_as_a_sentence(home: Home, server: Server) -> None:
    """It said: its server the key file of big …"""
    file = home.root / "gone.key"
    file.write_text(KEY)
    file.chmod(0o600)
    file_words = ("model", "serve", "big", "--url", server.url, "--key-file", str(file))
    assert home.aish(*file_words).returncode == 0
    assert home.aish("model", "stop", "big").returncode == 0
    file.write_text("")
    done = home.aish(*file_words)
    assert done.returncode == 69
    assert "by waiting: the key file of big has no key in its first line" in done.stderr


def test_a_server_that_rests_says_so_and_for_how_long(home: Home, server: Server) -> None:
    assert home.aish("model", "serve", "big", "--url", server.url).returncode == 0
    server.status, server.retry_after = 529, "200"
    assert chat(home, "big")[0] == 529
    server.status = 200
    status, headers = chat(home, "big")
    assert (status, 190 <= int(headers["retry-after"]) <= 200) == (529, True)
    until("ps shows it", lambda: "rests for" in home.aish("ps").stdout)
    assert "its server answered 529: Overloaded" in home.aish("ps").stdout
    assert "rests for" in home.aish("doctor").stdout
    assert "It is ready, but its server is not asked for another" in home.aish("why", "big").stdout.replace("\n", " ")
    (event,) = [json.loads(line) for line in home.aish("events", "--kind", "resting", "--json").stdout.splitlines()]
    assert (event["name"], event["detail"]["rest_s"] > 190) == ("big", True)


def test_another_model_answers_in_its_place_as_the_verb_was_told(home: Home, server: Server) -> None:
    with Server() as other:
        assert home.aish("model", "serve", "spare", "--url", other.url).returncode == 0
        served = home.aish("model", "serve", "big", "--url", server.url, "--fallback", "spare", "--retries", "1")
        assert served.returncode == 0, served.stderr
        server.status = 429
        status, headers = chat(home, "big")
        assert (status, headers["x-aish-model"], headers["x-aish-attempts"]) == (200, "spare", "3")
        until("it is told", lambda: "fell-back" in home.aish("events").stdout)
        shown = home.aish("inspect", "big").stdout
        assert "spare answers in its place: its server answered 429: Overloaded" in shown
        assert "fallback     spare" in shown
        assert "retries      1" in shown
        rows = json.loads(home.aish("usage", "--by", "model", "--json").stdout)
        assert next(row for row in rows if row["key"] == "spare")["tokens"]["requests"] >= 2
        other.shutdown()


@pytest.mark.parametrize(
    "words", [("--retries", "11"), ("--retries", "-1"), ("--fallback", "big"), ("--fallback", "a\nb")]
)
def test_what_cannot_be_is_refused(home: Home, words: tuple[str, str]) -> None:
    done = home.aish("model", "serve", "big", "--url", "http://127.0.0.1:1/v1", *words)
    assert done.returncode != 0
    assert not home.client.processes()
