"""The runtime folder taken away under a living supervisor (a logout, a tidy person); a state folder that two machines
share."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from aish.client import bringup, connect, launch
from aish.supervisor.holder import link
from aish.wire.message import Spawn, Stop, Wait
from aish.wire.reply import Done, Started, Waited
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Home, Supervised

pytestmark = pytest.mark.usefixtures("home")


def test_the_runtime_folder_is_removed_and_everything_is_found_again(up: Supervised) -> None:
    """A second keeper and holder were started beside the first; what ran was out of control for good."""
    before = up.programs()
    started = up.spawn("sleep", "300", name="job", restart="always")
    shutil.rmtree(up.home.runtime)
    done = up.home.aish("ps", "--json")
    assert (done.returncode, '"job"' in done.stdout) == (0, True), done.stderr
    assert up.programs() == before
    up.next_daemon()
    assert up.row("job").pid == started.pid
    os.kill(started.pid or 0, 9)
    up.until("it is started again, with its environment", lambda: up.row("job").restarts == 1)
    up.kill_daemon()
    up.next_daemon()
    os.kill(up.row("job").pid or 0, 9)
    up.until("and again, by the next daemon", lambda: up.row("job").restarts == 2)
    up.client.ask(Done, Stop(target="job"))


def test_the_daemons_socket_alone_is_removed(up: Supervised) -> None:
    up.spawn("sleep", "300", name="job")
    os.unlink(up.home.runtime / "daemon.sock")
    done = up.home.aish("ps", "--json")
    assert (done.returncode, '"job"' in done.stdout) == (0, True), done.stderr


def test_the_folder_above_is_gone_until_the_next_login(up: Supervised) -> None:
    """$XDG_RUNTIME_DIR itself goes with the last logout, and comes back with the next login."""
    up.spawn("sleep", "300", name="job")
    shutil.rmtree(up.home.runtime.parent)
    up.home.runtime.parent.mkdir(mode=0o700)
    done = up.home.aish("ps", "--json")
    assert (done.returncode, '"job"' in done.stdout) == (0, True), done.stderr


def test_the_holder_dies_after_the_folder_was_removed(up: Supervised) -> None:
    """The keeper must have the new socket, not the one that nobody can find."""
    up.spawn("sleep", "300", name="job")
    shutil.rmtree(up.home.runtime)
    assert '"job"' in up.home.aish("ps", "--json").stdout
    os.kill(up.programs()["holder"], 9)
    up.kill_daemon()
    assert '"job"' in up.home.aish("ps", "--json").stdout


def test_a_state_folder_of_another_machine_is_refused(home: Home) -> None:
    """Both machines wrote one table: jobs of the other were called lost, and ids were given twice."""
    state = home.state
    state.mkdir(mode=0o700, exist_ok=True)
    with open(state / "daemon.lock", "w") as file:
        file.write("elsewhere")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        done = home.aish("spawn", "--", "true")
        assert (done.returncode, "the supervisor of elsewhere uses" in done.stderr) == (69, True), done.stderr


@pytest.mark.root
def test_a_full_disk_and_the_daemons_death_cost_nothing(home: Home, tmp_path: Path) -> None:
    """Holder and keeper ended because they could not write to their log; what ran was nobody's."""
    home.state.parent.rmdir()
    home.state.parent.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "none", home.state.parent], check=True)
    try:
        read_end, write_end = os.pipe()
        with connect() as client:
            spec = SpecPart(argv=[b"sh", b"-c", b"read x; exit 4"], name="job")
            request = Spawn(token="0" * 32, spec=spec, launch=launch.capture(), targets=[0])
            client.ask(Started, request, [read_end])
            os.close(read_end)
            filler = os.open(home.state / "filler", os.O_WRONLY | os.O_CREAT)
            with contextlib.suppress(OSError):
                while os.write(filler, bytes(4096)):
                    pass
            os.close(filler)
            for _ in range(3):
                os.kill(client.welcome.pid, signal.SIGKILL)
                client.reconnect()
            os.close(write_end)
            os.unlink(home.state / "filler")
            waited = client.ask(Waited, Wait(target="job", timeout_s=60))
            assert waited.exit is not None
            assert waited.exit.code == 4
    finally:
        home.aish("shutdown")
        subprocess.run(["umount", home.state.parent], check=True)


def test_who_has_no_runtime_folder_finds_the_supervisor_by_its_lock(up: Supervised) -> None:
    """cron and sudo have no XDG_RUNTIME_DIR: every verb took 30 s, and another keeper and holder were started."""
    before = up.programs()
    up.spawn("sleep", "300", name="job")
    environ = {name: value for name, value in up.home.environ.items() if name != "XDG_RUNTIME_DIR"}
    done = up.home.aish("ps", "--json", env=environ)
    assert (done.returncode, '"job"' in done.stdout) == (0, True), done.stderr
    assert up.home.aish("spawn", "--", "true", env=environ).returncode == 0
    assert up.programs() == before


def test_the_folder_above_is_gone_for_good_and_another_is_found(
    up: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last logout there is no /run/user/UID; what was started before it goes on and can be reached."""
    up.spawn("sleep", "300", name="job")
    parent = up.home.runtime.parent
    shutil.rmtree(parent)
    parent.touch()  # so that it cannot be made again, even by root
    try:
        up.until("it is found again", lambda: '"job"' in up.home.aish("ps", "--json").stdout)
        up.kill_daemon()
        assert '"job"' in up.home.aish("ps", "--json").stdout
    finally:
        assert up.home.aish("shutdown").returncode == 0
        parent.unlink()
        parent.mkdir(mode=0o700)


def test_a_damaged_secret_is_replaced_and_told(home: Home) -> None:
    """The daemon ended at every start; every verb took 30 s, and nothing could end it but kill."""
    home.state.mkdir(mode=0o700)
    (home.state / "secret").write_bytes(b"short")
    assert home.aish("spawn", "--", "true").returncode == 0
    assert "keys of running processes are void" in home.aish("doctor").stdout.lower()
    assert len((home.state / "secret").read_bytes()) == 32


def test_a_daemon_that_cannot_start_says_why_soon(home: Home) -> None:
    home.state.mkdir(mode=0o700)
    (home.state / "secret").mkdir()
    begun = time.monotonic()
    done = home.aish("spawn", "--", "true")
    assert (done.returncode, "the daemon does not start" in done.stderr) == (69, True), done.stderr
    assert "secret" in done.stderr
    assert time.monotonic() - begun < 25, "it was told when all patience was over"
    (home.state / "secret").rmdir()


def test_a_daemon_that_takes_long_to_fail_says_why_too(home: Home) -> None:
    """On a busy machine there was always a next one about to start: 'did not answer within 30 s', and no reason."""
    home.state.mkdir(mode=0o700)
    mended, daemon = home.root / "mended", [sys.executable, "-P", "-m", "aish.supervisor.daemon"]
    script = 'test -e "$0" && exec "$@"; sleep 0.4; echo "there is sand in it" >&2; exit 74'
    words = ["/bin/sh", "-c", script, str(mended), *daemon]
    with home.entered():
        link.launch(str(home.runtime), words, bringup.log_path(), lock_path=bringup.holder_lock())
    begun = time.monotonic()
    done = home.aish("ps")
    assert (done.returncode, "the daemon does not start: there is sand in it" in done.stderr) == (69, True), (
        done.stderr
    )
    assert time.monotonic() - begun < 25, "it was told when all patience was over"
    mended.touch()
    assert home.aish("ps").returncode == 0


@pytest.mark.slow
def test_a_daemon_that_cannot_start_leaves_nothing_and_who_asks_does_not_wait(up: Supervised) -> None:
    """Each try left a socket behind; and a state folder that is none was told after half a minute."""
    sock = up.home.runtime / "daemon.sock"
    sock.unlink()
    sock.mkdir()
    up.kill_daemon()
    refused = up.home.aish("ps")
    assert "the daemon does not start" in refused.stderr
    assert [path.name for path in up.home.runtime.iterdir() if path.name.startswith("daemon.sock")] == ["daemon.sock"]
    sock.rmdir()
    begun_s = time.monotonic()
    assert up.home.aish("ps").returncode == 0
    assert time.monotonic() - begun_s < 5, "a client waited for the next try"
    up.next_daemon()
    away = up.home.state.rename(up.home.state.with_name("away"))
    up.home.state.touch()
    up.kill_daemon()
    begun_s = time.monotonic()
    refused = up.home.aish("ps")
    assert (f"{up.home.state}/daemon.log: Not a directory" in refused.stderr, refused.returncode) == (True, 69)
    assert time.monotonic() - begun_s < 15
    up.home.state.unlink()
    away.rename(up.home.state)
    up.next_daemon()
