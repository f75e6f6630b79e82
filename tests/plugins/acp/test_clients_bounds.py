"""opencode and Gemini CLI at the bounds that the supervisor sets: a budget that holds, one that refuses, a stop."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.conftest import helpers

from .test_clients import DEADLINE_S, client, logs, served, until_event

if TYPE_CHECKING:
    from conftest import Home, Provider

    from aish.client import Process

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(240)]
__all__ = ["client", "served"]  # fixtures


def spawned(home: Home, client: str, *words: str) -> Process:
    home.environ["AISH_MODEL"] = "sim"
    done = home.aish("spawn", *words, "--", f"@{client}", "do it", cwd=home.root)
    assert done.returncode == 0, done.stderr
    return home.client.process(done.stdout.split()[0])


def asked(provider: Provider) -> list[dict[str, Any]]:
    """Without the gateway's own question whether the server is there."""
    return [body for body in provider.asked if body.get("max_tokens") != 1]


@pytest.mark.parametrize("seconds", [3, 65])
def test_a_budget_holds_it_and_lets_it_go_on(
    shared_home: Home, provider: Provider, client: str, seconds: int
) -> None:
    """Longer than clients wait by themselves, or ask again."""
    provider.script = ["all done"]
    process = spawned(shared_home, client, "--budget", "tokens=50")
    until_event(shared_home, process.id, "held")
    assert process.row().state == "over-budget"
    held_s = time.monotonic()
    while time.monotonic() - held_s < seconds:  # that nothing happens has no event
        assert process.row().ended_s is None, logs(shared_home, process.id)
        time.sleep(0.25)
    assert asked(provider) == []
    assert shared_home.aish("limit", process.id, "tokens=+500k").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0, logs(shared_home, process.id)
    said = [line.text for line in shared_home.client.logs(process.id) if line.stream == "stdout"]
    assert said == ["all done"]
    turns = [body for body in asked(provider) if body.get("tools")]
    assert len(turns) == 1, "it was waited for"


def test_a_hard_budget_ends_it(shared_home: Home, provider: Provider, client: str) -> None:
    process = spawned(shared_home, client, "--budget", "tokens=50,hard")
    ended = process.wait(timeout_s=DEADLINE_S)
    assert (ended.code, ended.reason) == (75, "budget"), logs(shared_home, process.id)
    assert asked(provider) == []


def test_stopped_with_all_its_helpers(shared_home: Home, provider: Provider, client: str) -> None:
    marker = f"until-{os.getpid()}-ends"
    name = {"opencode": "bash", "gemini": "run_shell_command"}[client]
    command = f"touch begun; tail -f /dev/null {marker}"
    provider.script = [(name, {"command": command, "description": "run"}), "all done"]
    process = spawned(shared_home, client)
    until_event(shared_home, process.id, "asked")
    assert shared_home.aish("answer", process.id, "allow").returncode == 0
    while not (shared_home.root / "begun").exists():
        assert process.row().ended_s is None, logs(shared_home, process.id)
    assert helpers(marker)
    assert shared_home.aish("stop", process.id).returncode == 0
    assert helpers(marker) == []
