"""opencode and Gemini CLI in a sandbox with a network of its own: they ask their models by the gateway's door, and
what their tools do stays within."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect
from aish.wire.message import Inspect
from aish.wire.reply import Inspected

from .test_clients import DEADLINE_S, client, heard, logs, served

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Home, Provider

    from aish.client import Process

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(240)]
__all__ = ["client", "served"]  # fixtures


def run(client: str, command: str) -> tuple[str, dict[str, Any]]:
    name = {"opencode": "bash", "gemini": "run_shell_command"}[client]
    return name, {"command": command, "description": "run"}


def spawned(home: Home, client: str, profile: str, work: Path, *words: str) -> Process:
    """Skips where no tier gives it a network of its own."""
    done = home.aish("spawn", "--json", "--sandbox", profile, "--", f"@{client}", *words, cwd=work)
    if "sandbox" in done.stderr and done.returncode == 69:
        pytest.skip(f"no tier of a sandbox holds here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    process = home.client.process(json.loads(done.stdout)["id"])
    with connect(start=False, program="test") as line:
        tier = line.ask(Inspected, Inspect(target=process.id)).sandbox_tier
    if tier != "bwrap":
        pytest.skip(f"bwrap does not hold here, but {tier}, which gives no network of its own")
    return process


def allowed(home: Home, process: Process) -> list[str]:
    """Until it has ended: what it asks for is allowed (opencode asks for the folder outside, then for the command).
    The hosts that it has reached for, which nobody answers."""
    hosts: list[str] = []
    for event in home.client.events(follow=True, names=[process.id]):
        if event.kind == "asked":
            for found in home.client.questions(process.id):
                if found.title.startswith("reach "):
                    hosts.append(found.title.removeprefix("reach "))
                else:
                    assert home.aish("answer", f"q{found.number}", "allow").returncode == 0
        if event.kind in ("exited", "failed", "lost"):
            return sorted({*hosts})
    raise AssertionError("events ended")


@pytest.mark.parametrize("profile", ["closed", "dev"])
def test_a_whole_turn_with_a_tool_in_a_network_of_its_own(
    shared_home: Home, provider: Provider, client: str, profile: str
) -> None:
    work = shared_home.root / "work"
    work.mkdir()
    outside = shared_home.root / "outside"
    command = f"touch made; touch {outside}; readlink /proc/self/ns/net > net; ls -a ~ > home"
    provider.script = [run(client, command), "all done"]
    shared_home.environ["AISH_MODEL"] = "sim"
    process = spawned(shared_home, client, profile, work, "do it")
    hosts = allowed(shared_home, process)
    assert process.wait(timeout_s=DEADLINE_S).code == 0, logs(shared_home, process.id)
    assert (work / "made").exists()
    assert not outside.exists()
    assert (work / "net").read_text().strip() != os.readlink("/proc/self/ns/net")
    stdout = [line.text for line in shared_home.client.logs(process.id) if line.stream == "stdout"]
    assert stdout == ["all done"]
    found = [each for each in shared_home.client.requests() if each.process == process.id]
    assert len(found) == len([body for body in provider.asked if body.get("max_tokens") != 1]), "metered by its door"
    assert not any(each.estimated for each in found)
    reached = {("gemini", "dev"): ["play.googleapis.com"]}
    assert hosts == reached.get((client, profile), []), "it asks for nothing else by itself"


@pytest.mark.parametrize("client", ["opencode"], indirect=True)
def test_its_conversation_goes_on_there_and_is_forked(shared_home: Home, provider: Provider, client: str) -> None:
    """Its home is gone with each turn. Gemini CLI has nothing to branch by, and does not go on within a minute."""
    work = shared_home.root / "work"
    work.mkdir()
    shared_home.environ["AISH_MODEL"] = "sim"
    process = spawned(shared_home, client, "closed", work)
    assert heard(shared_home, provider, process.id, "ALPHA") == ["ALPHA"]
    assert heard(shared_home, provider, process.id, "BETA") == ["ALPHA", "BETA"]
    forked = shared_home.aish("fork", process.id, "--as", "other", "--json", cwd=work)
    assert forked.returncode == 0, forked.stderr
    assert heard(shared_home, provider, process.id, "GAMMA") == ["ALPHA", "BETA", "GAMMA"]
    assert heard(shared_home, provider, "@other", "DELTA") == ["ALPHA", "BETA", "DELTA"]
    assert not list(shared_home.root.rglob("home/**/opencode.db"))
