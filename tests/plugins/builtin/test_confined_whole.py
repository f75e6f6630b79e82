"""The built-in agent in a sandbox on the whole way: what its file, the command line and its parent say holds, and
what it starts is gone with it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.model.sandbox import BWRAP, NONE
from aish.sandbox import tier
from tests.deadline import DEADLINE_S, until

from .whole import agent, call, entries, run, spawned, until_event

if TYPE_CHECKING:
    from conftest import Home

HELD = tier.here()
pytestmark = pytest.mark.skipif(HELD.tier == NONE, reason=f"no sandbox holds here: {HELD.why_not}")
ACTS = "tools: [shell, write, ask]\npermissions: allow\n"


def results(home: Home, name: str = "fix") -> list[str]:
    return [entry["text"] for entry in entries(home, name) if entry["kind"] == "result"]


def test_its_file_says_in_which_and_that_is_shown(up: Home) -> None:
    agent(up, ACTS + "sandbox: closed\npaths: [more]\n")
    (up.root / "more").mkdir()
    outside = up.root.parent / "outside"
    steps = [
        call(
            "shell", command=f"echo x > made; echo x > more/made; echo x > {outside}; cat {up.state}/secret; echo end"
        ),
        call("write", path=str(outside), content="x"),
        "say 1",
    ]
    done = run(up, "@fix", " then ".join(steps))
    assert done.returncode == 0, done.stderr
    assert (up.root / "made").exists()
    assert (up.root / "more" / "made").exists()
    assert not outside.exists()
    assert results(up)[0].rstrip().endswith("end")
    assert "outside of the sandbox" in results(up)[1]
    told = " ".join(up.aish("inspect", "fix").stdout.split())
    assert f"closed, around its program; write {up.root}/more; held by {HELD.tier}" in told


@pytest.mark.slow
def test_its_pages_come_by_the_proxy_that_its_commands_have(up: Home) -> None:
    agent(up, "tools: [fetch]\nhosts: ['*']\npermissions: allow\nsandbox: {profile: closed, hosts: [b.example]}\n")
    done = run(up, "@fix", f"{call('fetch', url='https://a.example/')} then say 1")
    assert done.returncode == 0, done.stderr
    assert "a.example:443 is not among the hosts of this sandbox" in results(up)[0]


@pytest.mark.slow
def test_the_command_line_goes_before_its_file(up: Home) -> None:
    outside = up.root.parent / "elsewhere"
    agent(up, ACTS)
    steps = f"{call('shell', command=f'echo x > {outside}')} then say 1"
    assert run(up, "--sandbox", "dev", "@fix", steps).returncode == 0
    assert not outside.exists()
    assert run(up, "@fix", steps).returncode == 0
    assert outside.exists()
    assert "none: it reaches what you do" in up.aish("inspect", "fix").stdout
    outside.unlink()


@pytest.mark.slow
def test_it_raises_no_budget_and_answers_no_question(up: Home) -> None:
    """With the right to start processes it reaches the supervisor, which knows who asks."""
    aish = f"{sys.executable} -m aish"
    script = f"{aish} limit $AISH_ID tokens=+1M; echo $?; {aish} answer q1 allow; echo $?"
    for spawn in ("false", "true") if HELD.tier == BWRAP else ("false",):
        agent(up, ACTS + f"sandbox: {{profile: closed, spawn: {spawn}}}\nlimits:\n  tokens: 100k\n")
        done = run(up, "@fix", f"{call('shell', command=script)} then say 1")
        assert done.returncode == 0, done.stderr
        (told,) = results(up)
        statuses = [line for line in told.splitlines() if line.isdecimal()]
        assert len(statuses) == 2
        assert "0" not in statuses, told
        (row,) = [row for row in up.client.processes(all=True) if row.name == "fix"]
        assert row.budget_tokens == 100_000
        up.client.forget(row.id)


@pytest.mark.slow
@pytest.mark.parametrize("sandbox", ["", "sandbox: closed\n"])
def test_what_it_daemonises_is_gone_with_it(up: Home, sandbox: str) -> None:
    agent(up, ACTS + sandbox)
    script = "setsid sh -c 'trap \"\" TERM; echo x > began; exec sleep 3633.5' & until [ -s began ]; do :; done"
    assert run(up, "@fix", f"{call('shell', command=script)} then say 1").returncode == 0
    commands = Path("/proc").glob
    until("nothing of it is left", lambda: not any(_has(path, b"3633.5") for path in commands("[0-9]*/cmdline")))


@pytest.mark.slow
def test_an_agent_that_it_asks_is_in_no_wider_sandbox(up: Home) -> None:
    if HELD.tier != BWRAP:
        pytest.skip("the daemon's socket is out of reach in this tier")
    outside = up.root.parent / "by-another"
    agent(up, ACTS + "sandbox: {profile: closed, spawn: true}\n")
    agent(up, ACTS, name="other")
    task = f"{call('shell', command=f'echo x > mine; echo x > {outside}')} then say 1"
    done = run(up, "@fix", f"{call('ask', agent='other', task=task)} then say 1")
    assert done.returncode == 0, done.stderr
    assert (up.root / "mine").exists(), results(up)
    assert not outside.exists()


@pytest.mark.slow
def test_the_reason_of_its_end_is_its_own_word(up: Home) -> None:
    agent(up, "tools: [shell]\npermissions: deny\n")
    process = spawned(up, "@fix", f"{call('shell', command='true')} then say 1")
    end = process.wait(timeout_s=DEADLINE_S)
    assert (end.code, end.reason) == (77, "refused")
    agent(up, "tools: [shell]\npermissions: allow\n")
    process = spawned(up, "@fix", " then ".join([call("shell", command="true")] * 9))
    end = process.wait(timeout_s=DEADLINE_S)
    assert (end.code, end.reason) == (75, "loop")
    told = " ".join(up.aish("why", process.id).stdout.split())
    assert "It went round in a circle: it called shell 5 times with the same result" in told
    assert process.row().exit.reason == "loop"
    process = spawned(up, "@fix", call("shell", command="sleep 3600"))
    until_event(up, process.id, "started")
    until("it says so", lambda: process.row().doing == "run: sleep 3600")
    process.signal("INT")
    assert process.wait(timeout_s=DEADLINE_S).reason == "cancelled"


def _has(path: Path, word: bytes) -> bool:
    try:
        return word in path.read_bytes() and path.parent.name != str(os.getpid())
    except OSError:
        return False
