"""Agents in pipelines at the real prompt on a real terminal: Ctrl-C, Ctrl-Z, end of file, SIGPIPE, PIPESTATUS."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pexpect
import pytest

from tests.deadline import DEADLINE_S, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import System

pytestmark = pytest.mark.model
PROMPT_IS_UP = "\x1b[?2004h"  # bracketed paste is on exactly while a line is read
LINE_IS_TAKEN = "\x1b[?2004l"
BACK_S = 5.0
"""How long the prompt may take to come back after Ctrl-C, on a busy machine."""


class Terminal:
    """`aish` on a pty of its own."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.child = pexpect.spawn(
            system.python,
            ["-m", "aish"],
            env=system.home.environ | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
            cwd=str(system.home.root),
            dimensions=(24, 300),
            timeout=DEADLINE_S,
            encoding="utf-8",
        )
        self.child.expect_exact(PROMPT_IS_UP)

    def start(self, line: str) -> None:
        """Type a line; returns when the shell has taken it."""
        self.child.send(line + "\r")
        self.child.expect_exact(LINE_IS_TAKEN)

    def prompt(self) -> str:
        """Wait for the prompt; what was shown before it."""
        self.child.expect_exact(PROMPT_IS_UP)
        return str(self.child.before)

    def run(self, line: str) -> str:
        self.start(line)
        return self.prompt()

    def statuses(self) -> list[int]:
        """$? and PIPESTATUS of the line before."""
        found = re.search(r"<([0-9 ]+)>", self.run('echo "<$? ${PIPESTATUS[@]}>"'))
        assert found is not None
        return [int(word) for word in found[1].split()]

    def alive(self) -> list[str]:
        """Names of agents that have not ended."""
        return [row.name for row in self.system.home.client.processes() if row.kind == "agent"]


@pytest.fixture
def terminal(module_serving: System) -> Iterator[Terminal]:
    system = module_serving
    system.agent("list", 400, "You answer with numbered lists of one hundred short lines.")
    (system.home.root / "f").write_text("A list of a hundred animals.\n")
    (system.home.root / "long").write_text("A list of a hundred rivers.\n" * 40)
    made = Terminal(system)
    try:
        yield made
    finally:
        made.child.close(force=True)


def test_success_is_0_0_0_and_the_end_of_the_line_ends_the_shell(terminal: Terminal) -> None:
    shown = terminal.run("cat f | @title | head -1")
    assert shown.strip()
    assert terminal.statuses() == [0, 0, 0, 0]
    terminal.child.sendeof()
    terminal.child.expect(pexpect.EOF)
    terminal.child.wait()
    assert terminal.child.exitstatus == 0
    assert terminal.alive() == []


def test_a_reader_that_leaves_early_ends_the_agent_by_sigpipe(terminal: Terminal) -> None:
    """At once, not when the answer is over: 400 tokens would take many seconds."""
    shown = terminal.run("cat f | @list | head -1")
    assert "1. " in shown
    assert "2. " not in shown
    assert terminal.statuses() == [0, 0, 141, 0]
    row = terminal.system.row("list")
    assert row["exit"] == {"code": None, "signal": 13, "reason": None}
    until("the server has given it up", terminal.system.slots_are_free)
    until("it is settled", lambda: (tokens := terminal.system.look("list").tokens) and tokens.estimated)


def test_ctrl_c_ends_all_stages_and_the_prompt_is_back(terminal: Terminal) -> None:
    terminal.start("cat f | @list | cat; echo not to be seen")
    terminal.child.expect_exact("2. ")
    terminal.child.sendintr()
    pressed_s = time.monotonic()
    assert "not to be seen" not in terminal.prompt()
    assert time.monotonic() - pressed_s < BACK_S
    status, *stages = terminal.statuses()
    assert (status, stages[0], stages[2]) == (130, 0, 130)
    assert stages[1] in (130, 141), "the signal, or the pipe of a reader that the signal ended sooner"
    until("the agent has ended", lambda: terminal.alive() == [])
    until("the server has given it up", terminal.system.slots_are_free)
    assert terminal.run("echo still here").count("still here") >= 1


def test_ctrl_c_before_the_first_token(terminal: Terminal) -> None:
    """Nothing has been written yet: no broken pipe helps, the signal itself must travel."""
    terminal.start("cat long | @list > answer")
    until("the model works", lambda: not terminal.system.slots_are_free())
    terminal.child.sendintr()
    terminal.prompt()
    assert terminal.statuses() == [130, 0, 130]
    until("the agent has ended", lambda: terminal.alive() == [])
    until("the server has given it up", terminal.system.slots_are_free)


def test_end_of_file_typed_at_the_terminal_reaches_the_agent(terminal: Terminal) -> None:
    terminal.start("cat | @title | cat")
    terminal.child.send("A list of animals: lion, tiger, bear.\r")
    until("the agent waits for more", lambda: terminal.alive() == ["title"])
    terminal.child.sendeof()
    assert terminal.prompt().strip()
    assert terminal.statuses() == [0, 0, 0, 0]


def test_ctrl_z_pauses_the_agent_and_fg_goes_on(terminal: Terminal) -> None:
    terminal.start("cat f | @list | cat")
    terminal.child.expect_exact("2. ")
    terminal.child.send("\x1a")
    assert "Stopped" in terminal.prompt()
    until("the agent is paused", lambda: terminal.system.look("list").state == "paused")
    terminal.start("fg")
    until("it goes on", lambda: terminal.system.look("list").state != "paused")
    terminal.child.sendintr()
    terminal.prompt()
    until("the agent has ended", lambda: terminal.alive() == [])
