"""Claude Code, Codex and Gemini CLI in a sandbox where there is no bubblewrap: a turn with a tool, held by Landlock.
opencode needs folders and a port of its own, which are not there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from aish.client import connect
from aish.wire.message import Inspect
from aish.wire.reply import Inspected

from .conftest import DEADLINE_S

if TYPE_CHECKING:
    from conftest import Home

    from .conftest import Client

pytestmark = [
    pytest.mark.clients,
    pytest.mark.parametrize("client", ["claude", "codex", "gemini"], indirect=True),
    pytest.mark.timeout(180),
]


@pytest.fixture(autouse=True)
def landlock(home: Home) -> None:
    """Before `client`, which starts the supervisor."""
    home.environ["AISH_SANDBOX_TIER"] = "landlock"


@pytest.mark.parametrize("profile", ["closed", "dev"])
def test_a_whole_turn_with_a_tool(client: Client, profile: str) -> None:
    work = client.home.root / "work"
    work.mkdir()
    outside = client.home.root / "outside"
    client.agent_file("mine", f"model: {client.model}\npermissions: allow\nsandbox: {profile}\n")
    done = client.home.aish("spawn", "--json", "--", "@mine", client.tool(f"touch made; touch {outside}"), cwd=work)
    if "sandbox" in done.stderr and done.returncode == 69:
        pytest.skip(f"Landlock does not hold here: {done.stderr}")
    (process,) = [each for each in client.home.client.processes() if each.name == "mine"]
    with connect(start=False, program="test") as line:
        assert line.ask(Inspected, Inspect(target=process.id)).sandbox_tier == "landlock"
    handle = client.home.client.process(process.id)
    assert handle.wait(timeout_s=DEADLINE_S).code == 0, client.log(handle)
    assert (work / "made").exists(), client.log(handle)
    assert not outside.exists()
    assert client.log(handle, "stdout").split()[-3:] == ["w0", "w1", "w2"]
    assert client.counted(handle) == client.told_tokens(), "it is metered by its door"
    assert os.listdir(work) == ["made"]
