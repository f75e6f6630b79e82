"""Keys as the editor reads them, from a terminal of the test's own."""

from __future__ import annotations

import os
import select
import termios
import threading
from typing import TYPE_CHECKING, TextIO

import pytest

from aish.shell.keyboard import LineInput

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pair() -> Iterator[tuple[int, TextIO]]:
    """The user's end and the shell's."""
    master, slave = os.openpty()
    with open(slave, encoding="utf-8") as stdin:
        yield master, stdin
    os.close(master)


class _Dropping:
    """poll(2), and Ctrl-C behind the first one: the terminal drops what was typed."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.real = select.poll()
        self.real.register(fd, select.POLLIN)
        self.dropped = False

    def poll(self, timeout_ms: int) -> list[tuple[int, int]]:
        if self.dropped:
            return self.real.poll(timeout_ms)
        found = self.real.poll(10_000)
        termios.tcflush(self.fd, termios.TCIFLUSH)
        self.dropped = True
        return found


def _vmin(stdin: TextIO) -> object:
    return termios.tcgetattr(stdin)[6][termios.VMIN]


def test_keys_that_ctrl_c_took_away_are_not_waited_for(pair: tuple[int, TextIO]) -> None:
    """Between looking and reading: the shell sat in the read until the next key, deaf to every other Ctrl-C."""
    master, stdin = pair
    keys = LineInput(stdin)
    late = threading.Timer(5, os.write, (master, b"late"))  # else the test would wait as long as the shell did
    late.start()
    with keys.raw_mode():
        os.write(master, b"typed")
        keys.stdin_reader._poll = _Dropping(stdin.fileno())  # type: ignore[attr-defined]
        assert keys.read_keys() == []
        assert not keys.closed
    late.cancel()


def test_whoever_has_the_terminal_next_can_read(pair: tuple[int, TextIO]) -> None:
    """A shell that was killed, or stopped, left a terminal whose reads found nothing: to its parent the end."""
    master, stdin = pair
    keys = LineInput(stdin)
    with keys.raw_mode():
        assert _vmin(stdin) == 1
        os.write(master, b"ab")
        assert [key.data for key in keys.read_keys()] == ["a", "b"]
        assert _vmin(stdin) == 1


def test_a_terminal_that_is_gone_is_the_end(pair: tuple[int, TextIO]) -> None:
    master, stdin = pair
    keys = LineInput(stdin)
    with keys.raw_mode():
        os.write(master, b"a")
        assert [key.data for key in keys.read_keys()] == ["a"]
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, master)
        os.close(null)
        keys.read_keys()
        assert keys.closed
