"""What verbs do for a supervised process: what all of the user's processes share is not its to change."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest

from aish.store import gguf_write
from aish.store.gguf_write import F32, Tensor

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from conftest import Home


def within(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    """`aish words…` in a supervised process."""
    return home.aish("run", "--kind", "agent", "--", sys.executable, "-m", "aish", *words)


def newest(home: Home) -> str:
    """The id of the process that was started last."""
    return [row.id for row in home.client.processes(all=True) if row.kind != "system"][-1]


def tiny(path: Path, seed: int) -> str:
    stream = io.BytesIO()
    keys: dict[str, gguf_write.Value] = {"general.architecture": "llama", "llama.context_length": 2048}
    gguf_write.write(stream, keys, [Tensor("blk.0.weight", (64,), F32, bytes([seed]) * 256)])
    path.write_bytes(stream.getvalue())
    return str(path)


def test_a_process_cannot_remove_or_replace_the_user_s_models(home: Home, tmp_path: Path) -> None:
    """An agent removed the model that the user's other processes ran: a snapshot does not show it to an agent."""
    first, second = tiny(tmp_path / "a.gguf", 1), tiny(tmp_path / "b.gguf", 2)
    assert home.aish("model", "pull", first, "--name", "mine").returncode == 0
    done = within(home, "model", "rm", "mine")
    assert (done.returncode, "model rm refused: p1" in done.stderr) == (77, True), done.stderr
    done = within(home, "model", "pull", second, "--name", "mine")
    assert (done.returncode, "mine is stored already" in done.stderr) == (77, True), done.stderr
    for words in (
        ("pull", first, "--name", "mine"),
        ("pull", second, "--name", "its-own"),
        ("ls",),
        ("show", "mine"),
    ):
        done = within(home, "model", *words)
        assert done.returncode == 0, done.stderr
    assert json.loads(home.aish("model", "show", "mine", "--json").stdout)["version"] == 1
    assert home.aish("model", "rm", "mine").returncode == 0


def test_a_process_may_have_a_stored_model_served(shared_home: Home, tmp_path: Path) -> None:
    """'wait mine refused' (77), although it had been started."""
    shared_home.aish("model", "pull", tiny(tmp_path / "a.gguf", 1), "--name", "served")
    done = within(shared_home, "model", "serve", "served")
    assert (done.returncode, done.stdout.split()[1]) == (0, "served"), done.stderr
    assert done.stdout.split()[2].rstrip(":") in ("starting", "loading", "failed")


def test_env_is_the_process_s_own(shared_home: Home) -> None:
    """'keylist refused': only the user makes keys, but a process has one already."""
    done = within(shared_home, "env", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["OPENAI_API_KEY"].startswith(f"aish-{newest(shared_home)}-")
    script = "unset OPENAI_API_KEY; exec $0 -m aish env"
    done = shared_home.aish("run", "--", "sh", "-c", script, sys.executable)
    assert (done.returncode, "aish key new" in done.stderr) == (77, True)


def test_doctor_tells_as_whom_it_was_asked(shared_home: Home) -> None:
    """FAIL, for a process that is in order."""
    done = within(shared_home, "doctor")
    assert "FAIL  daemon" not in done.stdout
    assert f"acts as {newest(shared_home)}" in done.stdout
    assert "you act as the user" in shared_home.aish("doctor").stdout


@pytest.mark.parametrize(
    ("words", "told"), [("key ls", "key ls refused"), ("usage", "usage refused"), ("kill other", "kill")]
)
def test_refusals_use_the_words_of_the_verb(shared_home: Home, words: str, told: str) -> None:
    """'keylist refused', 'usagequery refused'."""
    shared_home.client.spawn(["sleep", "60"], name="other")
    done = within(shared_home, *words.split())
    assert (done.returncode, told in done.stderr) == (77, True), done.stderr
