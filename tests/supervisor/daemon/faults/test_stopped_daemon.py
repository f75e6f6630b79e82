"""The daemon stands still (SIGSTOP, swapped out): children run and end, nothing is lost, nobody waits for ever."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from aish.client import connect
from aish.wire.message import Wait
from aish.wire.reply import Waited

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Supervised

pytestmark = pytest.mark.usefixtures("home")


def test_daemon_stopped_children_run_and_their_ends_are_kept(up: Supervised, tmp_path: Path) -> None:
    count = 200
    (tmp_path / "done").touch()
    script = "read _ <&3; echo x >> $0/done; exit $1"  # until the pipe is closed
    waiting, go = os.pipe()
    ids = [
        up.spawn("sh", "-c", script, str(tmp_path), str(number % 100), fds={3: waiting}).id for number in range(count)
    ]
    os.kill(up.daemon_pid, signal.SIGSTOP)
    try:
        os.close(go)
        os.close(waiting)
        up.until("all have ended", lambda: (tmp_path / "done").read_text().count("x") == count)
    finally:
        os.kill(up.daemon_pid, signal.SIGCONT)
    assert [up.code(id_) for id_ in ids] == [number % 100 for number in range(count)]


def test_daemon_stopped_and_killed_the_next_one_knows(up: Supervised, tmp_path: Path) -> None:
    script = "while ! test -e $0/go; do sleep 0.05; done; touch $0/done; exit 7"
    started = up.spawn("sh", "-c", script, str(tmp_path))
    os.kill(up.daemon_pid, signal.SIGSTOP)
    (tmp_path / "go").touch()
    up.until("it has ended", (tmp_path / "done").exists)
    up.kill_daemon()
    with connect() as client:
        waited = client.ask(Waited, Wait(target=started.id, timeout_s=60))
    assert waited.exit is not None
    assert waited.exit.code == 7
