"""A stop while the disk is full: it is no failure, and nothing comes back. RLIMIT_FSIZE stands in for the disk."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aish.wire.message import Stop
from aish.wire.reply import Done

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
    if up.daemon_pid == pid:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    up.until("it is written again", lambda: up.view().alerts == [])


def test_a_stop_while_a_restart_waits_for_the_disk_is_no_failure(up: Supervised) -> None:
    """It was 'failed', which is only what could not be started, and lost the status of its run."""
    job = up.spawn("sleep", "300", restart="on-failure", name="job")
    with full(up):
        os.kill(job.pid or 0, signal.SIGKILL)
        up.until("it waits for the disk", lambda: up.row("job").state == "starting")
        assert up.client.ask(Done, Stop(target="job")).changed
        assert up.wait("job").state == "exited"
    end = up.row("job").exit
    assert end is not None
    assert (end.signal, end.reason) == (9, "cancelled")
