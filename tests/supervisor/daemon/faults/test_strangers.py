"""A pid that is somebody else's by now is never signalled: after a reboot, after the number was given again."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import msgspec
import pytest

from aish.supervisor.daemon import clock
from aish.supervisor.daemon.row import Row
from aish.wire.message import Done, Stop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Supervised


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "300"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def end_all_three(up: Supervised) -> None:
    """As a reboot does: nobody is told."""
    pids = up.programs()
    for name in ("holder", "keeper", "daemon"):
        os.kill(pids[name], signal.SIGSTOP)
    for name in ("daemon", "keeper", "holder"):
        os.kill(pids[name], signal.SIGKILL)
    up.until(
        "all are gone", lambda: not any(os.path.exists(f"/proc/{pid}/exe") and running(pid) for pid in pids.values())
    )


def running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def rewrite(up: Supervised, id_: str, **fields: object) -> None:
    """What the journal would say if that had happened."""
    db = sqlite3.connect(up.home.state / "processes.db")
    (blob,) = db.execute("SELECT row FROM processes WHERE id=?", (id_,)).fetchone()
    row = msgspec.msgpack.decode(blob, type=Row)
    for name, value in fields.items():
        setattr(row, name, value)
    db.execute("UPDATE processes SET row=? WHERE id=?", (msgspec.msgpack.encode(row), id_))
    db.commit()
    db.close()


@pytest.mark.parametrize("restart", ["never", "always"])
def test_new_boot_id_the_pid_of_before_is_a_strangers(
    up: Supervised, stranger: subprocess.Popen[bytes], restart: str
) -> None:
    started = up.spawn("sleep", "300", name="job", restart=restart)
    end_all_three(up)
    os.kill(started.pid or 0, signal.SIGKILL)
    rewrite(up, started.id, pid=stranger.pid, boot_id="00000000-0000-0000-0000-000000000000")
    up.next_daemon()
    row = up.row("job")
    assert (row.state, row.reason) == ("lost", "the machine was started anew")
    assert not up.client.ask(Done, Stop(target=started.id)).changed
    assert stranger.poll() is None


def test_pid_reused_the_number_is_a_strangers(up: Supervised, stranger: subprocess.Popen[bytes]) -> None:
    # A number is given again after seconds at best, never within the clock tick by which the two are told apart.
    tick = int(clock.boot_s() * clock.TICKS_PER_S)
    up.until("the next ticks", lambda: clock.boot_s() * clock.TICKS_PER_S > tick + 2)
    started = up.spawn("sleep", "300", name="job")
    end_all_three(up)
    os.kill(started.pid or 0, signal.SIGKILL)
    rewrite(up, started.id, pid=stranger.pid)
    up.next_daemon()
    row = up.row("job")
    assert row.state == "lost"
    assert row.exit is not None
    assert (row.exit.code, row.exit.signal) == (None, None), "unknown is a value, never 0"
    assert not up.client.ask(Done, Stop(target=started.id)).changed
    assert stranger.poll() is None


def test_all_three_killed_what_lives_is_adopted(up: Supervised) -> None:
    """By its handle (pid and start time): never started twice, still stopped as a whole."""
    started = up.spawn("sleep", "300", name="job", restart="always")
    end_all_three(up)
    up.next_daemon()
    row = up.row("job")
    assert (row.pid, row.state, row.restarts) == (started.pid, "running", 0)
    up.client.ask(Done, Stop(target="job"))
    up.wait("job")
    assert not running(started.pid or 0)
