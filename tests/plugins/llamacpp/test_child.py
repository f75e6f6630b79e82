"""The server as a process: how it starts, what it leaves with, and that it ends when it is told to."""

from __future__ import annotations

import io
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.config import folders, slots
from aish.store import gguf_write
from aish.store.gguf_write import F32, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.spi.model_server import StoredModel

    from .conftest import Running

REST = ["--alias", "x", "--ctx", "256", "--slots", "1", "--batch", "256", "--embeddings", "on"]


def child(gguf: str, path: str, log: Path, *more: str, **options: object) -> int:
    words = [sys.executable, "-P", "-m", "aish.plugins.llamacpp", "--gguf", gguf, "--socket", path, *REST, *more]
    with open(log, "wb") as stderr:
        return subprocess.run(words, stderr=stderr, timeout=60, check=False, **options).returncode  # type: ignore[call-overload,no-any-return]


def tiny() -> bytes:
    stream = io.BytesIO()
    gguf_write.write(stream, {"general.architecture": "llama"}, [Tensor("t", (1,), F32, bytes(4))])
    return stream.getvalue()


def last_error(log: Path) -> str:
    return next(line for line in reversed(log.read_text().splitlines()) if line.startswith("aish llamacpp: "))


def test_a_damaged_gguf_ends_it_with_65_and_one_line(tmp_path: Path) -> None:
    """Before the library is loaded, whose message would be 'please check the input params'."""
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"GGUF" + bytes(40))
    assert child(str(wrong), str(tmp_path / "s.sock"), tmp_path / "log") == 65
    assert last_error(tmp_path / "log").endswith("version: version 0 is not known (known: 2 and 3)")
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_missing_file_and_a_wrong_option(tmp_path: Path) -> None:
    assert child(str(tmp_path / "no.gguf"), str(tmp_path / "s.sock"), tmp_path / "log") == 69
    assert "No such file" in last_error(tmp_path / "log")
    done = subprocess.run(
        [sys.executable, "-m", "aish.plugins.llamacpp", "--nonsense"], capture_output=True, check=False
    )
    assert done.returncode == 2


@pytest.mark.parametrize("more", [("--ctx", "2000000000", "--slots", "4"), ("--cache-bytes", str(1 << 62))])
def test_a_number_that_llama_cpp_cannot_hold_is_a_wrong_option(tmp_path: Path, more: tuple[str, ...]) -> None:
    """Its traceback reached the user: OverflowError or TypeError of the binding."""
    (tmp_path / "whole.gguf").write_bytes(tiny())
    assert child(str(tmp_path / "whole.gguf"), str(tmp_path / "s.sock"), tmp_path / "log", *more) == 2
    assert "does not take these options" in last_error(tmp_path / "log")
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.model
def test_a_whole_gguf_that_llama_cpp_cannot_run_says_why(
    tmp_path: Path, stored: Callable[[str], StoredModel]
) -> None:
    data = bytearray(Path(stored("minilm").path).read_bytes())
    at = data.index(b"blk.3.attn_q.weight")
    data[at : at + 3] = b"blx"
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(data)
    assert child(str(broken), str(tmp_path / "s.sock"), tmp_path / "log") == 65
    assert "blk.3.attn_q.weight' not found" in last_error(tmp_path / "log")


@pytest.mark.model
def test_too_little_memory_ends_it_with_71(tmp_path: Path, stored: Callable[[str], StoredModel]) -> None:
    """A context of a million tokens takes 23 GB; 4 are allowed: it fails also where memory is overcommitted."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

    log = tmp_path / "log"
    assert child(stored("smollm2").path, str(tmp_path / "s.sock"), log, "--ctx", "1000000", preexec_fn=limit) == 71
    assert "not enough memory for x" in last_error(log)
    assert "ask for less" in log.read_text()


@pytest.mark.model
def test_the_socket_is_the_users_alone_and_sigterm_ends_it_at_once(run: Callable[..., Running]) -> None:
    one = run("smollm2")
    one.wait_ready()
    assert stat.S_IMODE(os.stat(one.path).st_mode) & 0o077 == 0
    connection = one.connection()
    connection.request(
        "POST", "/v1/completions", '{"prompt": "The sea", "max_tokens": 2000, "ignore_eos": true, "stream": true}'
    )
    connection.getresponse().read(1)
    began = time.monotonic()
    assert one.end() == -signal.SIGTERM
    assert time.monotonic() - began < 2.0, "in the middle of an answer too"
    connection.close()


@pytest.mark.model
def test_sigterm_while_loading_ends_it_at_once(run: Callable[..., Running]) -> None:
    one = run("smollm2")
    deadline = time.monotonic() + 60
    while not os.path.exists(one.path):  # it listens before it loads
        assert time.monotonic() < deadline
    began = time.monotonic()
    assert one.end() == -signal.SIGTERM
    assert time.monotonic() - began < 2.0


@pytest.mark.model
def test_a_socket_that_a_killed_server_left_is_taken_over(run: Callable[..., Running]) -> None:
    first = run("minilm")
    first.wait_ready(embeddings=True)
    first.process.kill()
    first.process.wait()
    assert os.path.exists(first.path)
    again = type(first)(first.plan, first.log)
    try:
        again.wait_ready(embeddings=True)
    finally:
        again.process.kill()
        again.process.wait()


@pytest.mark.model
def test_a_socket_that_another_server_listens_on_is_left_alone(
    tmp_path: Path, folder: Path, stored: Callable[[str], StoredModel]
) -> None:
    path = str(folder / "taken.sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        assert child(stored("minilm").path, path, tmp_path / "log") == 69
        assert "another server listens on" in last_error(tmp_path / "log")
        assert os.path.exists(path)
    os.unlink(path)


def test_a_file_in_the_place_of_the_socket_is_not_removed(tmp_path: Path) -> None:
    from aish.errors import UnavailableError
    from aish.plugins.llamacpp.__main__ import _free_socket

    (tmp_path / "s.sock").write_text("mine")
    with pytest.raises(UnavailableError, match="is not a socket"):
        _free_socket(str(tmp_path / "s.sock"))
    assert (tmp_path / "s.sock").read_text() == "mine"


@pytest.mark.model
def test_options_of_the_manifest_reach_the_server(run: Callable[..., Running]) -> None:
    one = run("smollm2", ctx="512", slots="3", embeddings="off")
    one.wait_ready()
    slots = one.send("GET", "/slots").json
    assert [slot["n_ctx"] for slot in slots] == [512] * 3
    assert one.post("/v1/embeddings", {"input": "x"}).status >= 400


@pytest.mark.model
def test_it_saves_kv_slots_where_it_is_told_to_and_says_which_build_it_is(run: Callable[..., Running]) -> None:
    """A file of another build may be read without an error, and be nonsense."""
    one = run("smollm2")
    one.wait_ready()
    assert one.chat("Name a colour.", max_tokens=5).status == 200
    folder = Path(slots.drafts(folders.state()))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for place, slot in enumerate(one.send("GET", "/slots").json):
        saved = one.post(f"/slots/{place}?action=save", {"filename": f"{one.process.pid}-{place}"}).json
        path = folder / f"{one.process.pid}-{place}"
        assert saved["n_saved"] == slot["n_prompt_tokens"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.unlink()
    assert one.post("/slots/0?action=save", {"filename": "../elsewhere"}).status == 400
    (tag,) = one.send("GET", "/v1/models").json["data"][0]["tags"]
    assert tag == f"{slots.SAVES}xllamacpp-{metadata.version('xllamacpp')}"


@pytest.mark.model
def test_where_they_cannot_be_saved_it_serves_without(
    tmp_path: Path, run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "aish").write_text("no folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    one = run("smollm2")
    one.wait_ready()
    assert "KV slots are not saved" in one.log.read_text()
    assert one.post("/slots/0?action=save", {"filename": "x"}).status == 501
    assert one.send("GET", "/v1/models").json["data"][0]["tags"] == []
