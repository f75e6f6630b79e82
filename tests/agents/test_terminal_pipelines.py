"""Agents in pipelines of a shell on a terminal, against a scripted model: keys, end of file, a reader that leaves,
and the daemon killed while an agent waits for its turn. (tests/system/test_terminal.py has it with a real model.)"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pexpect
import pytest

from aish.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Home

    from aish.plugins.simprovider.thread import Running

DEADLINE_S = 60.0
DEFINED = """\
[agents.a]
model = "sim"
instructions = "Answer."

[agents.big]
model = "sim"
instructions = "Answer."
limits.vram = "4G"
"""


class Prompt:
    """`aish` on a pty of its own."""

    def __init__(self, home: Home) -> None:
        self.home = home
        (home.root / "aish.toml").write_text(DEFINED)
        (home.root / "long").write_text("say 900 pace 0.05\n")
        (home.root / "short").write_text("say 3\n")
        environ = home.environ | {"TERM": "dumb", "PS1": "PROMPT> ", "HISTFILE": "/dev/null"}
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "aish", "--norc"],
            env=environ,
            cwd=str(home.root),
            timeout=DEADLINE_S,
            encoding="utf-8",
        )
        self.child.delaybeforesend = None
        self.child.expect_exact("PROMPT> ")

    def run(self, line: str) -> str:
        self.child.send(line + "\n")
        self.child.expect_exact("PROMPT> ")
        return str(self.child.before)

    def begin(self, line: str, seen: str) -> None:
        """Type a line and wait until it has written `seen`."""
        self.child.send(line + "\n")
        self.child.expect_exact(seen)

    def press(self, key: str) -> str:
        self.child.send(key)
        self.child.expect_exact("PROMPT> ")
        return str(self.child.before)

    def statuses(self) -> str:
        found = re.search(r"<([0-9 ]+)>", self.run('echo "<$? ${PIPESTATUS[@]}>"'))
        assert found is not None
        return found[1]

    def state(self, name: str) -> str:
        rows = [row for row in self.home.client.processes(all=True) if row.name == name]
        return rows[-1].state if rows else "none"


def until(happened: Callable[[], object], why: str) -> None:
    """The daemon tells nobody of a state of an agent's: ask again."""
    end = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < end, why
        time.sleep(0.02)


@pytest.fixture(scope="module")
def card(module_home: Home) -> None:
    """A simulated card of 8 GiB, made before the supervisor looks for cards."""
    words = [sys.executable, "-m", "aish.plugins.simgpu", "create", "--memory", "8G"]
    subprocess.run(words, env=module_home.environ, check=True, capture_output=True, timeout=60)


@pytest.fixture
def prompt(card: None, sim: Running, shared_home: Home) -> Iterator[Prompt]:
    made = Prompt(shared_home)
    yield made
    made.child.close(force=True)


def test_end_of_file_a_reader_that_leaves_and_the_statuses(prompt: Prompt) -> None:
    assert "w0 w1 w2" in prompt.run("cat short | @a | head -1")
    assert prompt.statuses() == "0 0 0 0"
    prompt.run("cat long | @a | head -c 2")
    assert prompt.statuses() == "0 0 141 0"
    prompt.begin("cat | @a", "cat | @a")
    until(lambda: prompt.state("a") not in ("none", "exited"), "the agent never began")
    prompt.child.send("say 4\n\x04")
    prompt.child.expect_exact("w0 w1 w2 w3")
    prompt.child.expect_exact("PROMPT> ")
    assert prompt.statuses() == "0 0 0"


def test_ctrl_c(prompt: Prompt, sim: Running) -> None:
    aborted = sim.provider.aborted
    prompt.begin("cat long | @a | cat; echo not to be seen", "w1 ")
    assert "\nnot to be seen" not in prompt.press("\x03")
    status, first, agent, last = prompt.statuses().split()
    assert (status, first, last) == ("130", "0", "130")
    assert agent in ("130", "141"), "the signal, or the pipe of a reader that the signal ended sooner"
    with sim.provider.changed:
        assert sim.provider.changed.wait_for(lambda: sim.provider.aborted > aborted, DEADLINE_S), "it generates on"


def test_ctrl_z_and_fg(prompt: Prompt) -> None:
    prompt.begin("cat long | @a | cat", "w1 ")
    assert "Stopped" in prompt.press("\x1a")
    until(lambda: prompt.state("a") == "paused", "the agent goes on behind a job that is stopped")
    prompt.begin("fg", "cat long | @a | cat")
    until(lambda: prompt.state("a") != "paused", "fg does not let it go on")
    prompt.child.expect(r"w\d+ ")
    prompt.press("\x03")
    until(lambda: prompt.state("a") == "exited", "Ctrl-C does not reach it")


def test_the_daemon_is_killed_while_an_agent_is_queued(prompt: Prompt) -> None:
    """It keeps its place, its descriptors and the job; nothing runs twice."""
    home = prompt.home
    home.client.spawn(["sleep", "1000"], name="owner", vram_bytes=7 << 30)
    prompt.begin("cat short | @big | tr w x", "is queued: ")
    with connect(program="test") as client:
        pidfd = os.pidfd_open(client.welcome.pid)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert select.select([pidfd], [], [], DEADLINE_S)[0]
    os.close(pidfd)
    until(lambda: prompt.state("big") == "queued", "it lost its place")
    assert "Stopped" in prompt.press("\x1a")
    prompt.begin("fg", "cat short | @big | tr w x")
    home.client.stop("owner", grace_s=0)
    prompt.child.expect_exact("x0 x1 x2")
    prompt.child.expect_exact("PROMPT> ")
    assert prompt.statuses() == "0 0"  # of fg
    assert len([row for row in home.client.processes(all=True) if row.name == "big"]) == 1


def test_ctrl_c_of_an_agent_that_is_queued(prompt: Prompt) -> None:
    prompt.home.client.spawn(["sleep", "1000"], name="owner", vram_bytes=7 << 30)
    prompt.begin("cat short | @big", "is queued: ")
    prompt.press("\x03")
    assert prompt.statuses().split()[0] == "130"
    until(lambda: prompt.state("big") == "exited", "it keeps its place")
