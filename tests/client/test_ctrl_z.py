"""Ctrl-Z of an attached program, under real shells with job control: bash, and aish's own."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pexpect
import pytest

from aish.client import connect
from tests.deadline import DEADLINE_S, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Home

CTRL_Z = b"\x1a"
PAUSED = rb"\r\nsleeper \(p\d+\) is paused: fg or aish cont sleeper\r\n"


class Shell:
    """A shell on a pty of its own. `prompt` is what it prints when it waits for a line."""

    def __init__(self, home: Home, command: list[str], prompt: bytes, **environ: str) -> None:
        self.home = home
        self.prompt_text = prompt
        self.aish = f"{sys.executable} -m aish"
        self.child = pexpect.spawn(
            command[0],
            command[1:],
            env=home.environ | {"TERM": "xterm", **environ},
            cwd=str(home.root),
            timeout=DEADLINE_S,
            dimensions=(24, 200),
        )
        self.prompt()

    def prompt(self) -> bytes:
        """Wait for the prompt; what was shown before it."""
        self.child.expect_exact(self.prompt_text)
        return bytes(self.child.before)

    def start(self, line: str) -> None:
        self.child.send(line + "\r")

    def run(self, line: str) -> bytes:
        self.start(line)
        return self.prompt()

    def state(self, name: str = "sleeper") -> str | None:
        return next((row.state for row in self.home.client.processes() if row.name == name), None)


def bash(home: Home) -> Shell:
    return Shell(home, ["bash", "--norc", "--noprofile", "-i"], b"ready> ", PS1="ready> ")


def own(home: Home) -> Shell:
    command = [sys.executable, "-m", "aish"]
    made = Shell(home, command, b"\x1b[?2004h", PROMPT_TOOLKIT_NO_CPR="1")  # bracketed paste: a line is read
    made.aish = "aish"  # a verb of the shell itself
    return made


@pytest.fixture(params=[bash, own], ids=["bash", "aish"])
def shell(request: pytest.FixtureRequest, shared_home: Home) -> Iterator[Shell]:
    with opened(request.param, shared_home) as made:
        yield made


@pytest.fixture
def in_bash(shared_home: Home) -> Iterator[Shell]:
    with opened(bash, shared_home) as made:
        yield made


@contextmanager
def opened(kind: Callable[[Home], Shell], home: Home) -> Iterator[Shell]:
    if kind is bash and shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    made = kind(home)
    try:
        yield made
    finally:
        made.child.close(force=True)


def test_a_plain_command_is_suspended_and_goes_on(shell: Shell) -> None:
    """The kernel discards a terminal's stop for what leads its own session: Ctrl-Z did nothing."""
    shell.start(f"{shell.aish} run --name sleeper sh -c 'echo begun; sleep 100'")
    shell.child.expect(b"begun\r\n")
    shell.child.send(CTRL_Z)
    shell.child.expect(PAUSED)
    assert b"Stopped" in shell.prompt()
    assert shell.state() == "paused"
    assert b"Stopped" in shell.run("jobs")
    shell.start("fg")
    until("it goes on", lambda: shell.state() == "running")
    shell.child.send(CTRL_Z)
    shell.child.expect(PAUSED)
    shell.prompt()
    shell.start("fg")
    until("it goes on again", lambda: shell.state() == "running")
    shell.child.send(b"\x03")
    shell.prompt()
    assert b"<130>" in shell.run('echo "<$?>"') or b"<130>" in shell.child.before
    until("it has ended", lambda: shell.state() is None)


def suspended_cat(shell: Shell) -> None:
    """It has answered one line, and the shell has its prompt again."""
    shell.start(f"{shell.aish} run --name sleeper cat")
    shell.child.send(b"one\r")
    shell.child.expect(b"one\r\none\r\n")
    shell.child.send(CTRL_Z)
    shell.child.expect(PAUSED)
    shell.prompt()


def test_it_is_typed_to_again_after_fg(in_bash: Shell) -> None:
    suspended_cat(in_bash)
    in_bash.start("fg")
    until("it goes on", lambda: in_bash.state() == "running")
    in_bash.child.send(b"two\r")
    in_bash.child.expect(b"two\r\ntwo\r\n")
    in_bash.child.send(b"\x04")
    in_bash.prompt()


def test_bg_lets_it_go_on_and_fg_attaches(in_bash: Shell) -> None:
    """A job in the background may run, but has no terminal: ours waits for `fg`."""
    in_bash.start(f"{in_bash.aish} run --name sleeper sh -c 'echo begun; read x; echo got $x; exit 5'")
    in_bash.child.expect(b"begun\r\n")
    in_bash.child.send(CTRL_Z)
    in_bash.child.expect(PAUSED)
    in_bash.prompt()
    in_bash.run("bg")
    until("it goes on", lambda: in_bash.state() == "running")
    until("our job waits for the terminal", lambda: b"Stopped" in in_bash.run("jobs"))
    in_bash.start("fg")
    in_bash.child.send(b"this\r")
    in_bash.child.expect(b"got this\r\n")
    in_bash.prompt()
    assert b"<5>" in in_bash.run('echo "<$?>"')


def test_while_it_is_suspended_another_terminal_may_have_it(in_bash: Shell, shared_home: Home) -> None:
    suspended_cat(in_bash)
    assert shared_home.client.process("sleeper").cont()
    other = pexpect.spawn(
        sys.executable, ["-m", "aish", "attach", "sleeper"], env=shared_home.environ, timeout=DEADLINE_S
    )
    try:
        other.expect(b"ctrl-. d detaches")
        other.send(b"two\r")
        other.expect(b"two\r\ntwo\r\n")
        in_bash.start("fg")
        in_bash.child.expect(rb"sleeper \(p\d+\): pid \d+ at \S+ has the lease to type")
    finally:
        other.close(force=True)


def test_the_end_while_it_is_suspended_is_told_at_fg(in_bash: Shell, shared_home: Home) -> None:
    in_bash.start(f"{in_bash.aish} run --name sleeper sh -c 'echo begun; exec sleep 100'")
    in_bash.child.expect(b"begun\r\n")
    in_bash.child.send(CTRL_Z)
    in_bash.child.expect(PAUSED)
    in_bash.prompt()
    shared_home.client.stop("sleeper", grace_s=0)
    in_bash.run("fg")
    assert b"<137>" in in_bash.run('echo "<$?>"')


def test_who_is_killed_while_it_is_suspended_lets_nothing_go_on(in_bash: Shell) -> None:
    """`kill` continues a stopped job, too: the process went on, and we were stopped for ever by the terminal."""
    suspended_cat(in_bash)
    in_bash.start("kill %1")
    in_bash.child.expect(rb"ended by SIGTERM; sleeper \(p\d+\) stays paused")
    in_bash.child.expect(b"`aish cont sleeper` lets it go on, `aish stop sleeper` ends it")
    until("our job has ended", lambda: b"Exit 69" in in_bash.run("jobs"))
    assert in_bash.state() == "paused"


@pytest.mark.parametrize("ours", ["run --name sleeper sleep 100", "attach sleeper"])
def test_in_the_background_it_waits_for_the_terminal_and_can_be_killed(
    in_bash: Shell, shared_home: Home, ours: str
) -> None:
    """It died without a word, or was stopped once more instead."""
    if ours.startswith("attach"):
        shared_home.client.spawn(["sleep", "100"], name="sleeper", pty=True)
    in_bash.run(f"{in_bash.aish} {ours} &")
    until("it waits for the terminal", lambda: b"Stopped" in in_bash.run("jobs"))
    in_bash.start("kill %1")
    in_bash.child.expect(rb"ended by SIGTERM; sleeper \(p\d+\) goes on")
    until("our job has ended", lambda: b"Exit 69" in in_bash.run("jobs"))
    assert in_bash.state() == "running"


def test_the_daemon_s_death_while_it_is_suspended(home: Home) -> None:
    with opened(bash, home) as in_bash:
        suspended_cat(in_bash)
        with connect(program="test") as client:
            os.kill(client.welcome.pid, signal.SIGKILL)
        in_bash.start("fg")
        in_bash.child.send(b"two\r")
        in_bash.child.expect(b"two\r\ntwo\r\n")


def test_a_shell_under_the_pty_suspends_its_own_job(in_bash: Shell) -> None:
    """As in any terminal emulator; nothing of ours is paused, and at its prompt Ctrl-Z is the shell's own."""
    in_bash.start(f"{in_bash.aish} run --name sleeper env PS1='in''ner> ' bash --norc --noprofile -i")
    in_bash.child.expect_exact(b"inner> ")
    in_bash.child.send(CTRL_Z)
    in_bash.child.send(b"cat\r")
    in_bash.child.expect(b"cat\r\n")
    in_bash.child.send(b"hello\r")
    in_bash.child.expect(b"hello\r\nhello\r\n")
    in_bash.child.send(CTRL_Z)
    in_bash.child.expect(rb"Stopped +cat")
    in_bash.child.expect_exact(b"inner> ")
    assert in_bash.state() == "running"
    in_bash.child.send(b"fg\r")
    in_bash.child.expect(b"cat\r\n")
    in_bash.child.send(b"\x04")
    in_bash.child.expect_exact(b"inner> ")
    in_bash.child.send(b"exit 4\r")
    in_bash.prompt()
    assert b"<4>" in in_bash.run('echo "<$?>"')


def test_a_program_that_wants_the_key_gets_it(in_bash: Shell) -> None:
    """An editor reads Ctrl-Z itself; the keys to detach, with Ctrl-Z at their end, suspend it nevertheless."""
    code = "stty raw -echo; printf re%s ady; head -c1 | od -An -tx1; sleep 100"
    in_bash.start(f"{in_bash.aish} run --name sleeper sh -c '{code}'")
    in_bash.child.expect(b"ready")
    in_bash.child.send(CTRL_Z)
    in_bash.child.expect(b"1a")
    assert in_bash.state() == "running"
    in_bash.child.send(b"\x1d" + CTRL_Z)
    in_bash.child.expect(PAUSED)
    in_bash.prompt()
    assert in_bash.state() == "paused"


def test_without_a_shell_behind_us_the_key_is_the_process_s(shared_home: Home) -> None:
    """`ssh -t host aish run …`: nobody could ever say fg."""
    code = "import signal,sys; signal.signal(signal.SIGTSTP, lambda *_: print('asked', flush=True))\n"
    words = [
        "run",
        "--name",
        "sleeper",
        "--",
        sys.executable,
        "-c",
        code + "print('ready', flush=True)\nwhile 1: signal.pause()",
    ]
    terminal = pexpect.spawn(sys.executable, ["-m", "aish", *words], env=shared_home.environ, timeout=DEADLINE_S)
    try:
        terminal.expect(b"ready")
        terminal.send(CTRL_Z)
        terminal.expect(b"asked")
    finally:
        terminal.close(force=True)


def test_a_viewer_stops_alone(in_bash: Shell, shared_home: Home) -> None:
    command = ["sh", "-c", "echo begun; sleep 100"]
    shared_home.client.spawn(command, name="sleeper", pty=True, grace_s=1)
    in_bash.start(f"{in_bash.aish} attach --read-only sleeper")
    in_bash.child.expect(b"begun\r\n")
    in_bash.child.send(CTRL_Z)
    in_bash.child.expect(rb"sleeper \(p\d+\) goes on; fg")
    assert b"Stopped" in in_bash.prompt()
    assert in_bash.state() == "running"
    in_bash.start("fg")
    in_bash.child.send(b"\x03")
    in_bash.child.expect(b"detached from sleeper")
