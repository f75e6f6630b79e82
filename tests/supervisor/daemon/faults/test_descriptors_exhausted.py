"""The daemon has no file descriptors left: what runs goes on, and who asks is told so, not that he is a stranger."""

from __future__ import annotations

import os
import resource
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from aish.config import folders
from aish.errors import AishError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Supervised


@contextmanager
def left(up: Supervised, count: int) -> Iterator[None]:
    """The daemon can have so many descriptors more, and no more."""
    pid = up.daemon_pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + count, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("count", [0, 2, 4])
def test_file_descriptors_exhausted_a_spawn_is_refused_cleanly(up: Supervised, count: int) -> None:
    """Nothing of it is there afterwards, and what runs knows nothing of it."""
    runs = up.spawn("sleep", "300", name="runs")
    with left(up, count):
        try:
            state = up.spawn("sleep", "300", name="late").state
        except AishError as error:
            state, why = "refused", str(error)
        else:
            why = up.row("late").reason or ""
        assert up.row("runs").pid == runs.pid
    assert state == "running" or "open files" in why or "descriptors" in why, (state, why)
    assert up.code(up.spawn("true").id) == 0
    assert [row.name for row in up.view().processes] == ["runs", "late"][: 2 if state == "running" else 1]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_file_descriptors_exhausted_who_asks_is_no_stranger(up: Supervised, count: int) -> None:
    """'where this program comes from is not known, so it has no rights; run it from your own shell'."""
    with left(up, count):
        done = up.home.aish("ps", "--json")
        assert "comes from is not known" not in done.stderr
        assert done.returncode == 0 or "no descriptor" in done.stderr or "open files" in done.stderr, done.stderr
    assert up.home.aish("ps").returncode == 0


def test_file_descriptors_exhausted_who_connects_hears_why_at_once(up: Supervised) -> None:
    """Nobody was accepted: a client waited for 30 s, and was told that the daemon hangs."""
    pid = up.daemon_pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    none = next(number for number in range(before[1]) if number not in taken)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (none, before[1]))
    try:
        for _ in range(3):  # the spare one comes back
            began_s = time.monotonic()
            done = up.home.aish("ps")
            assert "the daemon has no descriptor left" in done.stderr, done.stderr
            assert done.returncode != 0
            assert time.monotonic() - began_s < 10.0
        with socket.socket(socket.AF_UNIX) as mute:  # who says nothing does not keep others waiting
            mute.connect(folders.daemon_socket())
            assert "the daemon has no descriptor left" in up.home.aish("ps").stderr
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert up.home.aish("ps").returncode == 0
