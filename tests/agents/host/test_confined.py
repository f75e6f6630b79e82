"""The program of an agent in its sandbox: its host stays outside, and is out of the program's reach."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from aish.agents.host.__main__ import _sandbox
from aish.errors import UsageError
from aish.model.sandbox import BWRAP, NONE
from aish.sandbox import hosted, tier
from aish.sandbox.outlets import Outlets
from aish.wire.sandbox import SandboxPart

if TYPE_CHECKING:
    from conftest import Home

HELD = tier.here()
pytestmark = pytest.mark.skipif(HELD.tier == NONE, reason=f"no sandbox holds here: {HELD.why_not}")


class Agent:
    """`@boxed` runs a script of the project `folder`."""

    def __init__(self, home: Home) -> None:
        self.home, self.folder = home, home.root / "project"
        (self.folder / ".aish" / "agents").mkdir(parents=True)

    def write(self, script: str, sandbox: str = "sandbox: closed") -> None:
        program = self.folder / "tool.sh"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        head = f"---\nadapter: program\nprogram: ./tool.sh\nmodel: some-model\n{textwrap.dedent(sandbox)}\n---\n"
        (self.folder / ".aish" / "agents" / "boxed.md").write_text(head)

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.home.aish("run", *words, "@boxed", "go", **{"cwd": self.folder, "input": ""} | options)


@pytest.fixture
def agent(home: Home) -> Agent:
    return Agent(home)


def test_its_program_writes_in_its_folder_and_nowhere_else(agent: Agent) -> None:
    agent.write(f"cat; echo x >mine; echo x >{agent.home.root}/other; echo done")
    done = agent.run()
    assert (done.returncode, done.stdout) == (0, "go\ndone\n"), done.stderr
    assert (agent.folder / "mine").exists()
    assert not (agent.home.root / "other").exists()


def test_transcript_and_host_are_out_of_its_reach(agent: Agent) -> None:
    """It could else write its own history, or take from the host what keeps it in."""
    state, runtime = agent.home.state, agent.home.runtime
    agent.write(
        f"cat >/dev/null; env | grep -c ^AISH_SANDBOX=; env | grep -c ^AISH_TRANSCRIPT; cat {state}/agents/*/*;"
        f"cat {state}/secret {runtime}/environ/*;"
        f"tr '\\0' '\\n' </proc/$PPID/environ | grep AISH_TRANSCRIPT; echo end"
    )
    done = agent.run()
    assert done.stdout == "0\n0\nend\n", done.stderr
    (path,) = (state / "agents").glob("*/transcript.jsonl")
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines()] == ["prompt", "text", "end"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_its_program_is_known_at_the_gateway_by_its_door(agent: Agent) -> None:
    """Each turn has a network of its own, and the host's key is not needed in it."""
    if HELD.tier != BWRAP:
        pytest.skip("it has no network of its own")
    agent.write(
        "cat >/dev/null; curl -sS -m 20 $AISH_GATEWAY_URL/v1/aish/usage; env | grep -c _PROXY=", "sandbox: dev"
    )
    done = agent.run()
    told, _, proxies = done.stdout.rpartition("}")
    assert '"id":"p1"' in told, (done.stdout, done.stderr)
    assert int(proxies) == 5, done.stdout


def test_its_status_is_the_agent_s(agent: Agent) -> None:
    agent.write("exit 3")
    assert agent.run().returncode == 3


def test_the_command_line_says_more_than_the_file(agent: Agent) -> None:
    script = f"cat >/dev/null; echo x >{agent.home.root}/other"
    agent.write(script)
    agent.run("--sandbox", "none")
    assert (agent.home.root / "other").exists()
    (agent.home.root / "other").unlink()
    agent.write(script, sandbox="")
    agent.run("--sandbox", "dev")
    assert not (agent.home.root / "other").exists()


def test_a_table_adds_to_its_profile(agent: Agent) -> None:
    (agent.home.root / "more").mkdir()
    (agent.folder / ".env").write_text("secret\n")
    agent.write(
        "cat >/dev/null; cat .env; echo x >../more/x; echo end",
        sandbox="""
        sandbox:
          profile: dev
          write: [../more]
          hide: [.env]
        """,
    )
    done = agent.run()
    assert done.stdout == "end\n", done.stderr
    assert (agent.home.root / "more" / "x").exists()


@pytest.mark.parametrize(
    ("said", "told"),
    [("sandbox: clsed", "expected closed or dev or open"), ("sandbox:\n  proflie: dev", "did you mean profile?")],
)
def test_a_wrong_word_is_told(agent: Agent, said: str, told: str) -> None:
    agent.write("true", sandbox=said)
    done = agent.run()
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


def test_it_is_shown(agent: Agent) -> None:
    agent.write("cat >/dev/null; echo x >started; sleep 60")
    made = agent.home.aish("spawn", "--json", "--", "@boxed", "go", cwd=agent.folder)
    id_ = json.loads(made.stdout)["id"]
    told = agent.home.aish("inspect", id_).stdout
    assert f"closed, around its program; held by {HELD.tier}; open: " in told
    assert "agent [closed]" in agent.home.aish("ps").stdout
    doctor = agent.home.aish("doctor").stdout
    assert f"{HELD.tier} holds" in doctor
    assert Path(agent.folder).exists()


def test_an_adapter_that_does_not_say_that_it_keeps_in_is_refused_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would look as if it was held."""
    monkeypatch.setenv(
        *os.fsdecode(hosted.told(SandboxPart(hosted=True), HELD, Outlets("http://127.0.0.1:1"))).split("=", 1)
    )
    loose = SimpleNamespace(name="loose", confined=False)
    with pytest.raises(UsageError, match="loose keeps in no sandbox"):
        _sandbox(loose)  # type: ignore[arg-type]
    assert _sandbox(loose) is None, "it is told once, and of the environment"  # type: ignore[arg-type]
