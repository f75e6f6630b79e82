"""A stop while the disk is full: it is no failure, and nothing comes back. RLIMIT_FSIZE stands in for the disk."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from aish.client import launch
from aish.wire.message import Start, Stop, Why
from aish.wire.reply import Done, Explained
from aish.wire.spec import NeedPart, SchedulePart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Supervised


@contextmanager
def full(up: Supervised) -> Iterator[None]:
    """No file of the daemon can grow, those of its children can; until it has written again."""
    pid = up.daemon_pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    yield
    if up.daemon_pid == pid:  # else it has died, and the next one has no such limit
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    up.until("it is written again", lambda: up.view().alerts == [])


def test_a_stop_while_a_restart_waits_for_the_disk_is_no_failure(up: Supervised) -> None:
    """It was 'failed', which is only what could not be started, and lost the status of its run."""
    job = up.spawn("sleep", "300", restart="on-failure", name="job")
    with full(up):
        os.kill(job.pid or 0, signal.SIGKILL)
        up.until("it waits for the disk", lambda: up.row("job").state == "starting")
        # Fault: "The holder is asked to run it."
        up.until(
            "it says so",
            lambda: "process table cannot be written" in up.client.ask(Explained, Why(target="job")).paragraph,
        )
        assert up.client.ask(Done, Stop(target="job")).changed
        assert up.wait("job").state == "exited"
    end = up.row("job").exit
    assert end is not None
    assert (end.signal, end.reason) == (9, "cancelled")


@pytest.mark.usefixtures("home")
def test_a_stop_that_nobody_could_write_outlives_the_daemon(up: Supervised) -> None:
    """The next daemon took the end for a failure, and started again what had been stopped."""
    up.spawn("sleep", "300", restart="always", name="ended")
    up.spawn("true", needs=[NeedPart(name="later")], name="waits")
    up.spawn("true", schedule=SchedulePart(cron="@yearly"), name="yearly")
    stubborn = up.python(
        "import signal, time; signal.signal(15, print); print('up', flush=True); time.sleep(300)",
        name="stubborn",
        grace_s=20.0,
    )
    up.until("it ignores SIGTERM", lambda: "up" in up.log("stubborn")[0])
    runs = up.spawn("sleep", "300", name="runs")
    with full(up):
        for name in ("ended", "waits", "yearly", "stubborn"):
            assert up.client.ask(Done, Stop(target=name)).changed
        for name in ("ended", "waits", "yearly"):
            assert up.wait(name).state == "exited"
        up.kill_daemon()
        up.next_daemon()
        for name in ("ended", "waits", "yearly"):
            row = up.row(name)
            assert (row.state, row.exit.reason if row.exit is not None else None) == ("exited", "cancelled")
        assert up.inspect("ended").process.restarts == 0
        assert (up.row("stubborn").state, up.row("stubborn").pid) == ("stopping", stubborn.pid)
        assert (up.row("runs").state, up.row("runs").pid) == ("running", runs.pid)
    up.client.ask(Done, Stop(target="stubborn", grace_s=0.0))
    assert up.wait("stubborn").state == "exited"
    launched = launch.capture()
    assert up.client.ask(Done, Start(target="ended", launch=launched)).changed
    again = up.row("ended").pid
    up.kill_daemon()
    up.next_daemon()
    assert (up.row("ended").state, up.row("ended").pid) == ("running", again), "the wish was for the run before"
