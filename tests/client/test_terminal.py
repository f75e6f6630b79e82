"""`aish run` at a real terminal: names, and a terminal that goes away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pexpect
import pytest

from aish.client import connect
from aish.wire import address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Home

    Start = Callable[..., "pexpect.spawn[bytes]"]


@pytest.fixture
def at_terminal(home: Home) -> Iterator[Start]:
    opened = []

    def start(*words: str) -> pexpect.spawn[bytes]:
        opened.append(pexpect.spawn(sys.executable, ["-m", "aish", *words], env=home.environ, timeout=60))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close(force=True)


def names(home: Home) -> set[str]:
    return {row["name"] for row in json.loads(home.aish("ps", "--json").stdout)}


def test_the_same_program_twice_gets_a_number(home: Home, at_terminal: Start) -> None:
    """It was refused: 'the name cat is taken'. A name that the user gave is not changed, in a pipeline neither."""
    first = at_terminal("run", "--", "cat")
    first.sendline(b"one")
    first.expect(b"one\r\none")
    second = at_terminal("run", "--", "cat")
    second.sendline(b"two")
    second.expect(b"two\r\ntwo")
    assert names(home) == {"cat", "cat-2"}
    done = home.aish("run", "--name", "cat", "--", "true")
    assert (done.returncode, "the name cat is taken" in done.stderr) == (69, True)
    for terminal in (first, second):
        terminal.sendeof()
        terminal.expect(pexpect.EOF)
        terminal.wait()
        assert terminal.exitstatus == 0


def test_a_terminal_that_goes_away_leaves_the_process_running(home: Home, at_terminal: Start) -> None:
    """It ended as a fault of aish: the modes of a terminal that is gone cannot be put back."""
    terminal = at_terminal("run", "--name", "stays", "--", "sh", "-c", "echo begun; exec sleep 100")
    terminal.expect(b"begun")
    terminal.close(force=False)
    assert (terminal.exitstatus, terminal.signalstatus) in ((69, None), (None, signal.SIGHUP))
    assert names(home) == {"stays"}
    assert not (home.state / "faults.log").exists()
    assert home.aish("logs", "stays").stdout == "begun\n"


def test_sigterm_ends_us_and_not_the_process(home: Home, at_terminal: Start) -> None:
    """As a hang-up does; only without a terminal it is the process's own."""
    terminal = at_terminal("run", "--name", "job", "--", "sh", "-c", "echo up; exec sleep 100")
    terminal.expect(b"up\r\n")
    terminal.kill(signal.SIGTERM)
    terminal.expect(rb"aish run: ended by SIGTERM; job \(p\d+\) goes on")
    terminal.expect(pexpect.EOF)
    assert home.client.process("job").inspect().process.state == "running"


TIMES = 30


@pytest.mark.slow
def test_what_ends_at_once_is_shown_whole_each_time(home: Home, at_terminal: Start) -> None:
    """It ends before, while or after we attach: its output is the same bytes, once."""
    for number in range(TIMES):
        terminal = at_terminal("run", "/bin/echo", f"hello {number}")
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert (terminal.before, terminal.exitstatus) == (b"hello %d\r\n" % number, 0), number


@pytest.fixture
def full_card(home: Home) -> Home:
    """A simulated card of 8 GiB that a process has to itself."""
    words = [sys.executable, "-m", "aish.plugins.simgpu", "create", "--memory", "8G"]
    subprocess.run(words, env=home.environ, check=True, capture_output=True, timeout=60)
    done = home.aish("spawn", "--name", "owner", "--vram", "7G", "--grace", "1", "--", "sleep", "100")
    assert done.returncode == 0, done.stderr
    return home


def test_what_waits_for_a_gpu_says_so_and_is_attached_when_it_runs(full_card: Home, at_terminal: Start) -> None:
    terminal = at_terminal("run", "--name", "waits", "--vram", "4G", "--", "sh", "-c", "read x; echo got $x; exit 3")
    terminal.expect(rb"aish: waits \(p2\) is queued: needs 4.0G of VRAM")
    assert full_card.aish("stop", "owner").returncode == 0
    assert full_card.aish("wait", "--ready", "--timeout", "20", "waits").returncode == 0
    terminal.sendline(b"this")
    terminal.expect(b"got this\r\n")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 3


def test_ctrl_c_leaves_the_queue_to_itself_and_says_how_to_end_it(full_card: Home, at_terminal: Start) -> None:
    terminal = at_terminal("run", "--name", "waits", "--vram", "4G", "--", "echo", "there")
    terminal.expect(b"is queued: ")
    terminal.sendintr()
    terminal.expect(b"waits stays queued")
    terminal.expect(b"end it: aish stop p2")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert names(full_card) == {"owner", "waits"}
    assert full_card.aish("stop", "owner").returncode == 0
    assert full_card.aish("wait", "--timeout", "20", "waits").returncode == 0
    assert full_card.aish("logs", "waits").stdout == "there\n"


def test_ctrl_c_while_the_daemon_hangs(home: Home, at_terminal: Start) -> None:
    """One that is not stopped, which would be told at once."""
    home.runtime.mkdir(mode=0o700)
    with address.bind(str(home.runtime / "daemon.sock")) as deaf:
        deaf.listen()
        terminal = at_terminal("run", "--", "true")
        with pytest.raises(pexpect.TIMEOUT):
            terminal.expect(pexpect.EOF, timeout=1)
        terminal.sendintr()
        terminal.expect(pexpect.EOF, timeout=60)
        terminal.close()
        assert terminal.exitstatus == 130
    (home.runtime / "daemon.sock").unlink()


def test_a_daemon_that_is_stopped_is_told_at_once(home: Home, at_terminal: Start) -> None:
    """Each verb waited half a minute, and said nothing of whom to let go on."""
    with connect(program="test") as client:
        os.kill(client.welcome.pid, signal.SIGSTOP)
        try:
            terminal = at_terminal("run", "--", "true")
            terminal.expect(f"the daemon .pid {client.welcome.pid}. is stopped: `kill -CONT {client.welcome.pid}`")
            terminal.expect(pexpect.EOF, timeout=60)
            terminal.close()
            assert terminal.exitstatus == 69
        finally:
            os.kill(client.welcome.pid, signal.SIGCONT)
