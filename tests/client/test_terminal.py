"""`aish run` at a real terminal: names, and a terminal that goes away."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

import pexpect
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Home

    Start = Callable[..., "pexpect.spawn[bytes]"]


@pytest.fixture
def at_terminal(home: Home) -> Iterator[Start]:
    opened = []

    def start(*words: str) -> pexpect.spawn[bytes]:
        opened.append(pexpect.spawn(sys.executable, ["-m", "aish", *words], env=home.environ, timeout=30))
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
