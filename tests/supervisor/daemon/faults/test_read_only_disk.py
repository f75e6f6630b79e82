"""A state folder whose disk is read-only: what is there can be looked at, what runs goes on, nothing is taken on."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import launch
from aish.errors import StorageError
from aish.wire.message import Restart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Home, Supervised


@pytest.fixture
def mounted(home: Any) -> Iterator[Callable[[str], None]]:
    """Makes the disk of the state folder "ro" and "rw" again. What is open stays writable: the kernel makes no disk
    read-only under who writes to it, unless it is broken."""
    state = home.root / "state"
    now = "rw"

    def become(how: str) -> None:
        nonlocal now
        if how == now:
            return
        if how == "ro":
            subprocess.run(["mount", "--bind", state, state], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", state], check=True)
        else:
            subprocess.run(["umount", "-l", state], check=True)
        now = how

    try:
        yield become
    finally:
        become("rw")


@pytest.mark.root
def test_without_a_daemon_what_is_there_is_shown(mounted: Callable[[str], None], home: Home) -> None:
    """Fault: 69, 'its log is …/daemon.log' (the very file that could not be written), and nothing was shown."""
    with home.client as client:
        client.spawn(["sh", "-c", "echo hello; exit 3"], name="one").wait()
    assert home.aish("shutdown").returncode == 0
    mounted("ro")
    told = home.aish("ps", "-a")
    assert "one   command  exited" in told.stdout
    assert "the process table is not written" in told.stderr
    assert "Read-only file system" in told.stderr
    assert home.aish("logs", "one").stdout == "hello\n"
    assert "exit         3" in home.aish("inspect", "one").stdout
    assert [line.split()[2] for line in home.aish("events", "one").stdout.splitlines()] == [
        "created",
        "started",
        "exited",
    ]
    assert home.aish("inspect", "--history", "one").stdout.count("begun by the user") == 1
    for words in (("spawn", "--", "true"), ("run", "--", "true"), ("start", "one"), ("restart", "one")):
        done = home.aish(*words)
        assert (done.returncode, "Read-only file system" in done.stderr) == (74, True), words
        assert "mount it writable" in done.stderr, words
    assert home.client.process("one").row().state == "exited", "and none of it is made up for later"
    mounted("rw")
    home.client.spawn(["true"], name="two").wait()  # at once, and not when the daemon looks again by itself
    assert [row.name for row in home.client.processes(all=True)] == ["one", "two"]
    home.client.close()


@pytest.mark.root
def test_the_daemons_death_there_ends_no_supervision(
    mounted: Callable[[str], None], up: Supervised, tmp_path: Path
) -> None:
    """Fault: the next daemon could not open the secret, which it had only to read, and none got up again."""
    os.mkfifo(tmp_path / "go")
    up.spawn("sh", "-c", f"read x <{tmp_path}/go; exit 9", name="job")
    mounted("ro")
    up.kill_daemon()
    up.next_daemon()
    assert up.row("job").state == "running"
    with pytest.raises(StorageError):
        up.client.request(Restart(target="job", launch=launch.capture()))
    assert up.row("job").state == "running", "what cannot be started again is not stopped for it"
    (tmp_path / "go").write_text("on\n")
    assert up.code("job") == 9
    mounted("rw")
    up.until("it is written again", lambda: any(event.kind == "storage-back" for event in up.events()))
    up.kill_daemon()
    up.next_daemon()
    assert up.code("job") == 9


@pytest.mark.root
def test_where_nothing_is_there_nothing_is_started(mounted: Callable[[str], None], home: Home) -> None:
    (home.state).mkdir(mode=0o700)
    mounted("ro")
    done = home.aish("spawn", "--", "true")
    assert (done.returncode, "Read-only file system" in done.stderr) == (74, True)
    assert "set XDG_STATE_HOME to a folder elsewhere" in done.stderr
    assert not (home.runtime / "holder.sock").exists()


def test_a_log_that_cannot_be_written_is_the_storages_fault(home: Home) -> None:
    """Fault: 'unavailable', 69, and the log that could not be opened as the hint."""
    (home.state / "daemon.log").mkdir(mode=0o700, parents=True)
    done = home.aish("spawn", "--", "true")
    assert (done.returncode, f"{home.state}/daemon.log: Is a directory" in done.stderr) == (74, True)
    assert "its log is" not in done.stderr
