"""MCP servers as supervised processes: seen below their agent, with its limits and its sandbox, and gone with it."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.model.sandbox import NONE
from aish.sandbox import tier
from tests.deadline import DEADLINE_S

from .test_servers import SERVER
from .whole import agent, call, entries, run, spawned, until_event

if TYPE_CHECKING:
    from conftest import Home

    from aish.wire.part import ProcessPart

HELD = tier.here()
TWICE = f"{call('sums_add', a=2, b=3)} then {call('sums_add', a=2, b=4)} then say 1"
TELLS = """
import sys
print("began", file=sys.stderr, flush=True)
try:
    print("read", len(open(SECRET, "rb").read()), file=sys.stderr, flush=True)
except OSError:
    print("kept", file=sys.stderr, flush=True)
"""
HEAD = "mcp_servers: .mcp.json\npermissions: ask\n"


@pytest.fixture
def sums(up: Home) -> Home:
    """`@fix` has a server that tells on stderr that it began, and whether it reads a secret of aish."""
    path = up.root / "server.py"
    path.write_text(f"SECRET = '{up.state}/secret'\n{TELLS}{SERVER}")
    env = {"PID_FILE": str(up.root / "pid"), "ANTHROPIC_API_KEY": "its own"}
    entry = {"command": sys.executable, "args": [str(path)], "env": env}
    (up.root / ".mcp.json").write_text(json.dumps({"mcpServers": {"sums": entry}}))
    agent(up, HEAD)
    return up


def rows(home: Home) -> dict[str, ProcessPart]:
    return {row.name: row for row in home.client.processes(all=True)}


def asked(home: Home, steps: str = TWICE) -> Any:
    """Its agent, at the first question: its server runs."""
    process = spawned(home, "@fix", steps)
    until_event(home, process.id, "asked")
    return process


def test_it_is_a_process_below_its_agent_with_a_log_and_without_a_key(sums: Home) -> None:
    agent(sums, HEAD + "limits:\n  tokens: 100k\n")
    process = asked(sums)
    server = rows(sums)["fix/mcp-sums"]
    assert (server.parent, server.state) == (process.id, "running")
    environ = Path(f"/proc/{server.pid}/environ").read_bytes().split(b"\0")
    names = {entry.partition(b"=")[0].decode() for entry in environ if entry}
    assert not {name for name in names if name.startswith(("OPENAI", "XDG"))}
    assert {"PID_FILE", "PATH", "HOME", "ANTHROPIC_API_KEY"} <= names
    assert sums.aish("answer", process.id, "allow", "--always").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0
    assert [entry["text"] for entry in entries(sums) if entry["kind"] == "result"] == [
        "5, no key, None",
        "6, no key, None",
    ]
    server = rows(sums)["fix/mcp-sums"]
    assert (server.state, server.exit and server.exit.code) == ("exited", 0), "its stdin ended, and so did it"
    assert "began" in sums.aish("logs", server.id).stderr


@pytest.mark.slow
def test_it_is_gone_with_a_host_that_is_killed(sums: Home) -> None:
    process = asked(sums)
    host, server = process.row().pid, rows(sums)["fix/mcp-sums"]
    assert host is not None
    os.kill(host, signal.SIGKILL)
    process.wait(timeout_s=DEADLINE_S)
    sums.client.wait(server.id, timeout_s=DEADLINE_S)
    assert not Path(f"/proc/{server.pid}").exists()


@pytest.mark.slow
def test_it_goes_on_while_the_supervisor_is_away(sums: Home) -> None:
    """Between an agent and its servers there is nobody."""
    process = asked(sums)
    os.kill(sums.client.view().daemon_pid, signal.SIGKILL)
    assert sums.aish("answer", process.id, "allow", "--always").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0
    assert len([entry for entry in entries(sums) if entry["kind"] == "result"]) == 2
    assert rows(sums)["fix/mcp-sums"].state == "exited"


@pytest.mark.slow
@pytest.mark.skipif(HELD.tier == NONE, reason=f"no sandbox holds here: {HELD.why_not}")
def test_it_is_in_the_sandbox_of_its_agent(sums: Home) -> None:
    """Though that may start no processes: its host does, and the server is no tool of the model."""
    agent(sums, HEAD.replace("ask", "allow") + "sandbox: closed\n")
    done = run(sums, "@fix", TWICE)
    assert (done.stdout, done.returncode) == ("w0\n", 0), done.stderr
    server = rows(sums)["fix/mcp-sums"]
    assert server.sandbox == "closed"
    assert "kept" in sums.aish("logs", server.id).stderr


@pytest.mark.slow
def test_one_that_cannot_be_started_is_told(sums: Home) -> None:
    (sums.root / ".mcp.json").write_text(json.dumps({"gone": {"command": "/no/such/server"}}))
    done = run(sums, "@fix", "say 1")
    assert (done.returncode, "MCP server" in done.stderr, "Traceback" in done.stderr) == (69, True, False), (
        done.stderr
    )
