"""A pid that is somebody else's by now is never signalled: after a reboot, after the number was given again."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import msgspec
import pytest

from aish.supervisor.daemon import clock
from aish.supervisor.daemon.row import Row
from aish.wire.message import Stop
from aish.wire.reply import Done

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Supervised

pytestmark = pytest.mark.usefixtures("home")


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


def test_after_a_reboot_a_projects_processes_come_back_by_up_and_nothing_else_does(up: Supervised) -> None:
    """With their declared environment: that of before is gone with the runtime folder."""
    folder = up.home.root / "project"
    folder.mkdir()
    (folder / "aish.toml").write_text(
        '[services.declared]\nshell = "echo $A ${STRAY-none}; exec sleep 300"\nenv = { A = "1" }\n'.replace(
            "${", "$${"
        )
    )
    assert up.home.aish("up", cwd=folder, env=up.home.environ | {"STRAY": "x"}).returncode == 0
    loose = up.spawn("sleep", "300", name="loose", restart="always")
    declared = up.row("declared")
    end_all_three(up)
    for id_, pid in ((loose.id, loose.pid), (declared.id, declared.pid)):
        os.kill(pid or 0, signal.SIGKILL)
        rewrite(up, id_, boot_id="00000000-0000-0000-0000-000000000000")
    shutil.rmtree(up.home.runtime)
    up.next_daemon()
    assert (up.row("loose").state, up.row("declared").state) == ("lost", "lost")
    assert up.home.aish("up", cwd=folder).returncode == 0
    again = up.row("declared")
    assert (again.id, again.state, up.row("loose").state) == (declared.id, "running", "lost")
    up.until("both have written", lambda: up.log("declared")[0] == "1 none\n" * 2)


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
