"""Claude Code and Codex go back, are doubled and go on after their end: what the model is asked next tells by itself
which conversation it is."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect
from aish.wire.message import Inspect
from aish.wire.reply import Inspected

if TYPE_CHECKING:
    from .conftest import Client

pytestmark = [
    pytest.mark.clients,
    pytest.mark.parametrize("client", ["claude", "codex"], indirect=True),
    pytest.mark.timeout(180),
]
WORDS = ("ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON", "ZETA")


def aish(client: Client, *words: str) -> str:
    done = client.home.aish(*words, cwd=client.home.root, input="")
    assert done.returncode == 0, done.stderr
    return done.stdout


def heard(client: Client, target: str, prompt: str) -> list[str]:
    """What of all that was ever said its model was given with that."""
    before = len(client.asked())
    aish(client, "ask", target, prompt)
    (request,) = client.asked()[before:]
    return [word for word in WORDS if word.encode() in request.body]


def serving(client: Client, *options: str) -> Any:
    words = ("spawn", "--json", "--model", client.model, *options, "--", f"@{client.name}")
    return client.home.client.process(json.loads(aish(client, *words))["id"])


def test_a_fork_and_a_rewind_have_the_conversation_up_to_there(client: Client) -> None:
    process = serving(client)
    one = f"@{client.name}"
    assert heard(client, one, "say 1 ALPHA") == ["ALPHA"]
    assert heard(client, one, "say 1 BETA") == ["ALPHA", "BETA"], "it goes on with its session by itself"
    (session,) = {entry["id"] for entry in client.entries(process) if entry["kind"] == "session"}
    aish(client, "fork", one, "--as", "other")
    assert heard(client, one, "say 1 GAMMA") == ["ALPHA", "BETA", "GAMMA"]
    assert heard(client, "@other", "say 1 DELTA") == ["ALPHA", "BETA", "DELTA"], "as it was when it was forked"
    assert heard(client, "@other", "say 1 EPSILON") == ["ALPHA", "BETA", "DELTA", "EPSILON"]
    aish(client, "rewind", one, "2")
    assert heard(client, one, "say 1 ZETA") == ["ALPHA", "ZETA"]
    sessions = [entry["id"] for entry in client.entries(process) if entry["kind"] == "session"]
    assert sessions[0] == session
    assert len(set(sessions)) == 2, "another conversation: that of before is as it was"
    shown = json.loads(aish(client, "checkpoint", "ls", one, "--json"))
    assert all("conversation" not in each["missing"] for each in shown)


def test_one_that_has_ended_goes_on_in_a_worktree_of_its_own(client: Client) -> None:
    """Sessions are found from another folder than the one in which they began."""
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org")
    for words in (("init", "-q", "-b", "main"), ("commit", "-q", "--allow-empty", "-m", "begin")):
        subprocess.run([*git, *words], cwd=client.home.root, env=client.home.environ, check=True)
    process = serving(client, "--worktree")
    assert heard(client, process.id, "say 1 ALPHA") == ["ALPHA"]
    assert heard(client, process.id, "say 1 BETA") == ["ALPHA", "BETA"]
    wanted = json.loads(aish(client, "checkpoint", "ls", process.id, "--json"))[1]["id"]
    aish(client, "stop", process.id)
    restored = json.loads(aish(client, "restore", "--json", wanted))["id"]
    assert heard(client, restored, "say 1 GAMMA") == ["ALPHA", "GAMMA"]
    with connect(start=False, program="test") as line:
        folders = [line.ask(Inspected, Inspect(target=id)).spec.cwd for id in (process.id, restored)]
    assert folders[0] != folders[1]


def test_a_turn_that_was_cancelled_is_none_to_go_back_into(client: Client) -> None:
    process = serving(client)
    one = f"@{client.name}"
    assert heard(client, one, "say 1 ALPHA") == ["ALPHA"]
    aish(client, "send", one, client.tool("touch BETA"))
    client.until(process, "asked")
    aish(client, "cancel", one)
    while process.row().state != "idle":
        assert process.row().ended_s is None, client.log(process)
    assert [entry["status"] for entry in client.entries(process) if entry["kind"] == "end"] == ["done", "cancelled"]
    assert client.home.client.questions() == []
    aish(client, "fork", one, "--as", "other")
    assert heard(client, "@other", "say 1 GAMMA") == ["ALPHA", "GAMMA"]
    assert heard(client, one, "say 1 DELTA") == ["ALPHA", "BETA", "DELTA"], "it remembers what was begun"
