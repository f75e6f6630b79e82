"""The input's way in: what arrives, and how long it is waited for."""

from __future__ import annotations

import os
import time

import pytest

from aish.agents import stdin
from aish.errors import LimitError

MONTH_S = 31 * 86400.0


def test_a_deadline_beyond_what_poll_can_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent with wall_s above 24.8 days ended as a fault: poll(2) takes an int of milliseconds."""
    monkeypatch.setattr(stdin, "POLL_MOST_MS", 20)  # and so the long wait is one of several
    reading, writing = os.pipe()
    if os.fork() == 0:
        time.sleep(0.1)
        os.write(writing, b"late")
        os._exit(0)
    os.close(writing)
    with open(os.devnull, "w") as out:
        read = stdin.read(reading, out_fd=out.fileno(), deadline_s=time.monotonic() + MONTH_S)
    os.close(reading)
    os.wait()
    assert read.text == "late"


def test_a_month_is_not_too_long_for_one_wait() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"there")
    os.close(writing)
    with open(os.devnull, "w") as out:
        read = stdin.read(reading, out_fd=out.fileno(), deadline_s=time.monotonic() + MONTH_S)
    os.close(reading)
    assert read.text == "there"


def test_the_deadline_ends_the_wait() -> None:
    reading, writing = os.pipe()
    with open(os.devnull, "w") as out, pytest.raises(LimitError, match="its time is up"):
        stdin.read(reading, out_fd=out.fileno(), deadline_s=time.monotonic() + 0.05)
    os.close(reading)
    os.close(writing)
