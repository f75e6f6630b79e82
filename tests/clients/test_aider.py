"""Aider, where it is on PATH: text out, metered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Client

pytestmark = [
    pytest.mark.clients,
    pytest.mark.parametrize("client", ["aider"], indirect=True),
    pytest.mark.timeout(180),
]


def test_a_turn(client: Client) -> None:
    client.agent_file("mine", "model: sim\npermissions: deny\n")
    done = client.home.aish("run", "@mine", "say 4", cwd=client.home.root)
    assert done.stdout.split() == ["w0", "w1", "w2", "w3"], done.stderr
    (row,) = [each for each in client.home.client.processes(all=True) if each.name == "mine"]
    assert client.counted(row) == client.told_tokens()
    assert not (client.home.root / ".git").exists()


def test_it_does_not_begin_where_it_cannot_ask(client: Client) -> None:
    done = client.home.aish("run", "--model", "sim", "@aider", "say 4", cwd=client.home.root)
    assert (done.returncode, done.stdout, client.asked()) == (2, "", [])
    assert "permissions: allow" in done.stderr


@pytest.mark.parametrize("profile", ["closed", "dev"])
def test_in_a_sandbox_it_asks_its_model_by_the_door_and_nobody_else(client: Client, profile: str) -> None:
    """Its settings and its history of the person's home are not there."""
    client.agent_file("mine", f"model: sim\npermissions: deny\nsandbox: {profile}\n")
    done = client.home.aish("run", "@mine", "say 4", cwd=client.home.root)
    if "sandbox" in done.stderr and done.returncode == 69:
        pytest.skip(f"no tier of a sandbox holds here: {done.stderr}")
    assert done.stdout.split() == ["w0", "w1", "w2", "w3"], done.stderr
    (row,) = [each for each in client.home.client.processes(all=True) if each.name == "mine"]
    assert client.counted(row) == client.told_tokens()
    assert [event.kind for event in client.home.client.events(names=[row.id])].count("asked") == 0
