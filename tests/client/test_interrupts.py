"""Signals that come in the moment before a wait begins."""

from __future__ import annotations

import _thread
import socket
import threading

import pytest

from aish.client import Aish, connect
from aish.client.interrupts import Interruptible, readable
from aish.wire.message import Wait


def interrupt_soon(delay_s: float) -> threading.Timer:
    """As a signal that the system call did not see: its handler is due, and no call is broken off."""
    timer = threading.Timer(delay_s, _thread.interrupt_main)
    timer.start()
    return timer


@pytest.mark.usefixtures("shared_home")
def test_a_wait_for_the_daemon_ends() -> None:
    """Fault: Ctrl-C just before the receiving call was without effect."""
    with Aish() as aish, connect(program="test") as client:
        process = aish.spawn(["sleep", "600"])
        timer = interrupt_soon(0.1)
        with Interruptible(), pytest.raises(KeyboardInterrupt):
            client.request(Wait(target=process.id))
        timer.join()


def test_one_that_came_before_does_not_end_the_next_wait() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, Interruptible():
        with pytest.raises(KeyboardInterrupt):
            _thread.interrupt_main()
        theirs.send(b"x")
        readable(ours)
        assert ours.recv(1) == b"x"
        ours.settimeout(0.05)
        with pytest.raises(TimeoutError):
            readable(ours)


def test_outside_the_reader_waits_itself() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        readable(ours)
