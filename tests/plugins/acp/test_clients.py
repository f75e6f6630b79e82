"""opencode and Gemini CLI themselves, where they are installed: through the gateway, at a scripted model server."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Home, Provider

    from aish.client import Process

DEADLINE_S = 90.0
pytestmark = [pytest.mark.clients, pytest.mark.slow]


@pytest.fixture(autouse=True)
def served(shared_home: Home, provider: Provider) -> None:
    """The gateway has the scripted server as `sim`."""
    done = shared_home.aish("model", "serve", "sim", "--url", provider.url)
    assert done.returncode == 0, done.stderr


@pytest.fixture(params=["opencode", "gemini"])
def client(request: pytest.FixtureRequest, shared_home: Home) -> str:
    """Its name; it is found by PATH."""
    name: str = request.param
    folder = os.environ.get("AISH_TEST_CLIENTS")
    if folder:
        shared_home.environ["PATH"] = f"{folder}/node_modules/.bin:{shared_home.environ['PATH']}"
    if shutil.which(name, path=shared_home.environ["PATH"]) is None:
        pytest.skip(f"{name} is not installed: on PATH, or in $AISH_TEST_CLIENTS/node_modules/.bin")
    return name


def called(client: str, folder: Path) -> list[str | tuple[str, dict[str, Any]]]:
    """A script: a command is run, a file is written, and that is told."""
    path = str(folder / "made.txt")
    if client == "opencode":
        run: tuple[str, dict[str, Any]] = ("bash", {"command": "echo ran > ran.txt", "description": "run"})
        return [run, ("write", {"filePath": path, "content": "made\n"}), "all done"]
    run = ("run_shell_command", {"command": "echo ran > ran.txt", "description": "run"})
    return [run, ("write_file", {"file_path": path, "content": "made\n"}), "all done"]


def spawned(home: Home, client: str, *words: str) -> Process:
    done = home.aish("spawn", "--json", "--", f"@{client}", *words, cwd=home.root)
    assert done.returncode == 0, done.stderr
    return home.client.process(json.loads(done.stdout)["id"])


def until_event(home: Home, id_: str, kind: str, times: int = 1) -> None:
    for event in home.client.events(follow=True, names=[id_]):
        times -= event.kind == kind
        if not times:
            return
        assert event.kind not in ("exited", "failed", "lost"), logs(home, id_)


def logs(home: Home, id_: str) -> str:
    return "\n".join(f"{line.stream}: {line.text}" for line in home.client.logs(id_))


def entries(home: Home, client: str) -> list[dict[str, Any]]:
    (row,) = [row for row in home.client.processes(all=True) if row.name == client][-1:]
    (path,) = (home.state / "agents").glob(f"*-{row.id}/transcript.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_prompt_is_answered_through_the_gateway(shared_home: Home, provider: Provider, client: str) -> None:
    provider.script = ["all is well"]
    done = shared_home.aish(
        "run", "--model", "sim", f"@{client}", "say something", cwd=shared_home.root, timeout=DEADLINE_S
    )
    assert (done.returncode, done.stdout) == (0, "all is well\n"), done.stderr
    key = [entry for entry in entries(shared_home, client) if "aish-" in json.dumps(entry)]
    assert not key


def test_commands_and_files_are_asked_for(shared_home: Home, provider: Provider, client: str) -> None:
    provider.script = called(client, shared_home.root)
    shared_home.environ["AISH_MODEL"] = "sim"
    process = spawned(shared_home, client, "do it")
    until_event(shared_home, process.id, "asked")
    (question,) = shared_home.client.questions()
    assert question.form == "command"
    assert "echo ran" in question.body
    assert not (shared_home.root / "ran.txt").exists()
    shared_home.aish("answer", process.id, "allow")
    until_event(shared_home, process.id, "asked", times=2)
    (question,) = shared_home.client.questions()
    assert (question.title, question.form) == ("edit: made.txt", "diff")
    assert not (shared_home.root / "made.txt").exists()
    shared_home.aish("answer", process.id, "allow")
    assert process.wait(timeout_s=DEADLINE_S).code == 0, logs(shared_home, process.id)
    assert (shared_home.root / "ran.txt").read_text() == "ran\n"
    assert (shared_home.root / "made.txt").read_text() == "made\n"
    kinds = [entry["kind"] for entry in entries(shared_home, client)]
    assert (kinds.count("tool"), kinds.count("result"), kinds.count("question")) == (2, 2, 2), kinds


def test_what_is_denied_is_not_done(shared_home: Home, provider: Provider, client: str) -> None:
    provider.script = [*called(client, shared_home.root)[:1], "without it"]
    shared_home.environ["AISH_MODEL"] = "sim"
    process = spawned(shared_home, client, "do it")
    until_event(shared_home, process.id, "asked")
    shared_home.aish("answer", process.id, "deny")
    ended = process.wait(timeout_s=DEADLINE_S)
    assert ended.code == {"opencode": 77, "gemini": 0}[client], logs(shared_home, process.id)
    assert not (shared_home.root / "ran.txt").exists()


def test_ctrl_c_ends_the_turn(shared_home: Home, provider: Provider, client: str) -> None:
    provider.script = called(client, shared_home.root)
    shared_home.environ["AISH_MODEL"] = "sim"
    process = spawned(shared_home, client, "do it")
    until_event(shared_home, process.id, "asked")
    process.signal("INT")
    assert process.wait(timeout_s=DEADLINE_S).signal == signal.SIGINT, logs(shared_home, process.id)
    assert shared_home.client.questions() == []
    assert not (shared_home.root / "ran.txt").exists()


def serving(home: Home, client: str) -> Process:
    home.environ["AISH_MODEL"] = "sim"
    return spawned(home, client)


def heard(home: Home, provider: Provider, target: str, prompt: str) -> list[str]:
    """What of all that was ever said its model was given with that."""
    before = len(provider.asked)
    done = home.aish("ask", target, prompt, cwd=home.root, input="", timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    (request,) = [body for body in provider.asked[before:] if body.get("tools")]
    return [word for word in ("ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON") if word in json.dumps(request)]


@pytest.mark.parametrize("client", ["opencode"], indirect=True)
@pytest.mark.timeout(240)
def test_opencode_is_branched_at_the_end_of_its_session(shared_home: Home, provider: Provider, client: str) -> None:
    process = serving(shared_home, client)
    assert heard(shared_home, provider, process.id, "ALPHA") == ["ALPHA"]
    assert heard(shared_home, provider, process.id, "BETA") == ["ALPHA", "BETA"]
    early = shared_home.aish("rewind", process.id, "1", cwd=shared_home.root)
    assert (early.returncode, "has gone on with this one since" in early.stderr) == (69, True)
    forked = shared_home.aish("fork", process.id, "--as", "other", "--json", cwd=shared_home.root)
    assert forked.returncode == 0, forked.stderr
    assert heard(shared_home, provider, process.id, "GAMMA") == ["ALPHA", "BETA", "GAMMA"]
    assert heard(shared_home, provider, "@other", "DELTA") == ["ALPHA", "BETA", "DELTA"]
    place = json.loads(forked.stdout)["from"]
    assert shared_home.aish("rewind", process.id, place, cwd=shared_home.root).returncode == 0
    assert heard(shared_home, provider, process.id, "EPSILON") == ["ALPHA", "BETA", "EPSILON"]


@pytest.mark.parametrize("client", ["gemini"], indirect=True)
def test_gemini_has_nothing_to_branch_by(shared_home: Home, provider: Provider, client: str) -> None:
    process = serving(shared_home, client)
    assert heard(shared_home, provider, process.id, "ALPHA") == ["ALPHA"]
    refused = shared_home.aish("fork", process.id, cwd=shared_home.root)
    assert (refused.returncode, "named no place in this one to branch it at" in refused.stderr) == (69, True)


@pytest.mark.parametrize("client", ["opencode"], indirect=True)
@pytest.mark.timeout(240)
def test_cancelled_it_waits_for_its_next_message(shared_home: Home, provider: Provider, client: str) -> None:
    """Gemini CLI does so, too, but cannot go on with a session in the minute in which that began."""
    provider.script = [*called(client, shared_home.root)[:1], "hello"]
    process = serving(shared_home, client)
    assert shared_home.aish("send", process.id, "do ALPHA").returncode == 0
    until_event(shared_home, process.id, "asked")
    assert shared_home.aish("cancel", process.id).returncode == 0
    done = shared_home.aish("ask", process.id, "BETA", cwd=shared_home.root, input="", timeout=DEADLINE_S)
    assert (done.returncode, done.stdout.strip()) == (0, "hello"), done.stderr
    assert shared_home.client.questions() == []
    assert not (shared_home.root / "ran.txt").exists()
    ends = [entry["status"] for entry in entries(shared_home, client) if entry["kind"] == "end"]
    assert ends == ["cancelled", "done"]


@pytest.mark.parametrize("client", ["opencode"], indirect=True)
@pytest.mark.timeout(240)
def test_its_last_conversation_is_gone_on_with(shared_home: Home, provider: Provider, client: str) -> None:
    for words, expected in ((("ALPHA",), {"ALPHA"}), (("--continue", "BETA"), {"ALPHA", "BETA"})):
        before = len(provider.asked)
        options = [word for word in words if word.startswith("--")]
        done = shared_home.aish(
            *("run", "--model", "sim", *options, f"@{client}", words[-1]), cwd=shared_home.root, timeout=DEADLINE_S
        )
        assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
        asked = json.dumps([body for body in provider.asked[before:] if body.get("tools")])
        assert {word for word in ("ALPHA", "BETA") if word in asked} == expected
