"""Real keys: which files are taken, and that nothing a server sends has a key in it any more."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from aish.errors import StorageError
from aish.supervisor.gateway.provider_key import ProviderKeys, Scrub
from aish.supervisor.gateway.routes import Server

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-real-0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "key"
    made.write_text(f"{KEY}\nsecond line\n")
    made.chmod(0o600)
    return made


def key(file: object) -> str | None:
    return ProviderKeys().key(Server("p1", "remote", "http://x/v1", key_file=str(file)))


def test_the_first_line_is_the_key(file: Path) -> None:
    assert key(file) == KEY


def test_a_file_that_changed_is_read_anew(file: Path) -> None:
    keys, server = ProviderKeys(), Server("p1", "remote", "http://x/v1", key_file=str(file))
    assert keys.key(server) == KEY
    file.write_text("another-key")
    assert keys.key(server) == "another-key"


def test_a_pipe_is_refused_and_nobody_waits_for_it(tmp_path: Path) -> None:
    """Opening it would wait for a writer, and with it everybody who uses the gateway."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    said: list[str] = []

    def ask() -> None:
        with pytest.raises(StorageError) as caught:
            key(pipe)
        said.append(str(caught.value))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(5)
    assert said == ["the key file of remote is not a regular file"]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"with\x00nul", "schl\u00fcssel".encode()])
def test_a_file_without_a_key(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(StorageError):
        key(file)


@pytest.mark.parametrize("path", ["/dev/null", "/", "a\0b", "/nowhere/at/all"])
def test_what_is_no_file(path: str) -> None:
    with pytest.raises(StorageError):
        key(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o777])
def test_a_file_that_others_can_read(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(StorageError, match="others can read"):
        key(file)


@pytest.mark.parametrize("real", [KEY, 'with"quote/slash\\and+more', "abc/def/ghi/jkl"])
def test_the_key_is_taken_out_in_every_form(real: str) -> None:
    import json

    scrub = Scrub(real)
    plain = json.dumps(real)[1:-1]
    for form in (real, plain, plain.replace("/", "\\/")):
        for scrubbed in (scrub.error, scrub.answer):
            assert scrubbed(b"what is <" + form.encode() + b">?") == b"what is <***>?"
    assert scrub.header(f"Bearer {real}") == "Bearer ***"


def test_a_placeholder_is_no_secret_and_may_be_said_in_answers() -> None:
    assert Scrub("ollama").answer(b"ask ollama") == b"ask ollama"
    assert Scrub("ollama").error(b"ask ollama") == b"ask ***"


def test_without_a_key_everything_stays() -> None:
    assert Scrub(None).error(b"data") == Scrub(None).answer(b"data") == b"data"
