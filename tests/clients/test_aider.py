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
