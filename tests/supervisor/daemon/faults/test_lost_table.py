"""The table is lost: what runs is found, with its name, and what was handed back is not taken for it."""

from __future__ import annotations

import os
import secrets
import select
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from aish.wire.message import Adopt, KeyNew, Off, Stop
from aish.wire.reply import Done, HandedBack, Started

if TYPE_CHECKING:
    from conftest import Supervised

pytestmark = pytest.mark.usefixtures("home")


def spoil(up: Supervised, *, gone: bool = False) -> None:
    """Overwrite the table while nobody has it open, or take it away; the next daemon finds it so."""
    pids = up.programs()
    os.kill(pids["holder"], signal.SIGSTOP)
    try:
        up.kill_daemon()
        for tail in ("-wal", "-shm"):
            (up.home.state / f"processes.db{tail}").unlink(missing_ok=True)
        if gone:
            (up.home.state / "processes.db").unlink()
        else:
            (up.home.state / "processes.db").write_bytes(b"\xa5" * 40_000)
    finally:
        os.kill(pids["holder"], signal.SIGCONT)
    up.next_daemon()


def kill_parents(up: Supervised) -> None:
    before = up.holder_pids()
    up.kill_parents()
    up.until("the next ones are there", lambda: up.holder_pids() != before)
    up.next_daemon()


def running(up: Supervised) -> dict[str, int | None]:
    return {row.name: row.pid for row in up.view(figures=False).processes if row.lifecycle == "running"}


@pytest.mark.parametrize("gone", [False, True])
def test_what_outlived_its_parents_is_found_by_its_mark(up: Supervised, gone: bool) -> None:
    """It was in no list any more, and outlived `aish shutdown`; what the holder had was called by its id."""
    first = up.spawn("sleep", "600", name="keep1")
    kill_parents(up)
    second = up.spawn("sleep", "600", name="keep2")
    spoil(up, gone=gone)
    assert running(up) == {"keep1": first.pid, "keep2": second.pid}
    alerts = " ".join(up.view().alerts)
    assert "rebuilt from what runs" in alerts
    assert "may run unseen" in alerts
    for name, started in (("keep1", first), ("keep2", second)):
        assert up.row(name).id == started.id
        up.client.ask(Done, Stop(target=name))
        up.wait(name)
    assert up.spawn("true").id == "p3"


def test_all_three_are_dead_and_so_is_the_table(up: Supervised) -> None:
    """Its mark was of another epoch than the new table's: nothing was found."""
    started = up.spawn("sleep", "600", name="job")
    epoch = up.client.welcome.epoch
    pids = up.programs()
    for role in ("keeper", "holder", "daemon"):
        os.kill(pids[role], signal.SIGKILL)
    up.until("they are gone", lambda: not any(alive(pid) for pid in pids.values()))
    for tail in ("-wal", "-shm"):
        (up.home.state / f"processes.db{tail}").unlink(missing_ok=True)
    (up.home.state / "processes.db").write_bytes(b"\xa5" * 40_000)
    up.next_daemon()
    assert running(up) == {"job": started.pid}
    assert up.client.welcome.epoch == epoch, "its key would be void"


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_what_was_handed_back_is_not_taken_for_ours(up: Supervised) -> None:
    """It has the same mark: it would be supervised again, and ended with the supervisor."""
    given = up.spawn("sh", "-c", "sleep 600 & wait", name="given")
    programs = [os.pidfd_open(pid) for pid in up.programs().values()]
    up.client.ask(HandedBack, Off())
    for fd in programs:
        assert select.select([fd], [], [], 20)[0]
        os.close(fd)
    up.next_daemon()
    ours = up.spawn("sleep", "600", name="ours")
    spoil(up)
    assert running(up) == {"ours": ours.pid}
    for _ in range(2):  # nor does a later daemon end what is in its group
        up.kill_daemon()
        up.next_daemon()
    assert running(up) == {"ours": ours.pid}
    assert given.pid is not None
    assert alive(given.pid)
    os.killpg(given.pid, signal.SIGKILL)


def test_what_was_handed_back_and_is_started_again_is_ours(up: Supervised) -> None:
    first = up.spawn("sleep", "600", name="job")
    programs = [os.pidfd_open(pid) for pid in up.programs().values()]
    up.client.ask(HandedBack, Off())
    for fd in programs:
        assert select.select([fd], [], [], 20)[0]
        os.close(fd)
    fd = os.pidfd_open(first.pid or 0)
    os.kill(first.pid or 0, signal.SIGKILL)
    assert select.select([fd], [], [], 20)[0]
    os.close(fd)
    up.next_daemon()
    assert up.home.aish("start", "job").returncode == 0
    pid = up.row("job").pid
    kill_parents(up)
    spoil(up)
    assert running(up) == {"job": pid}


def test_a_part_of_aish_is_one_again_and_is_started_again(up: Supervised) -> None:
    """Fault: the gateway was a command that nobody restarts."""
    up.client.request(KeyNew(name="somebody"))  # starts it
    spoil(up)
    found = up.row("gateway")
    assert found.kind == "system"
    os.kill(found.pid or 0, signal.SIGKILL)
    up.until("another one runs", lambda: (row := up.row("gateway")).lifecycle == "running" and row.pid != found.pid)


def test_an_adopted_one_and_a_terminal_are_known_by_what_the_holder_keeps(up: Supervised) -> None:
    """Who was adopted has no mark: its pidfd was dropped, and it was in no list."""
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        adopted = up.client.ask(Started, Adopt(token=secrets.token_hex(16), pid=stranger.pid, name="guest"))
        screen = up.spawn("sleep", "600", name="screen", pty=True)
        spoil(up)
        assert up.row(adopted.id).pid == stranger.pid
        assert up.inspect("screen").spec.pty
        assert running(up)["screen"] == screen.pid
        up.client.ask(Done, Stop(target=adopted.id))
        assert stranger.wait(20) == -signal.SIGTERM
        up.wait(adopted.id)
    finally:
        stranger.kill()
        stranger.wait()


def test_a_mark_that_is_not_ours_finds_nothing(up: Supervised) -> None:
    """Anybody may write such a variable into his environment; ours cannot be made."""
    started = up.spawn("sleep", "600", name="job")
    forged = subprocess.Popen(
        ["sleep", "600"],
        env={"PATH": os.environ["PATH"], "AISH_ID": "p99", "AISH_NAME": "forged", "AISH_TAG": "0" * 32},
        start_new_session=True,
    )
    try:
        spoil(up)
        assert running(up) == {"job": started.pid}
    finally:
        forged.kill()
        forged.wait()


def test_nobody_answers_and_the_table_says_that_something_runs(up: Supervised) -> None:
    """`aish ps`: "nothing is supervised", which hid that a supervisor had left what it had."""
    started = up.spawn("sleep", "600", name="job")
    ended = up.spawn("sleep", "600", name="ends")
    pids = up.programs()
    for role in ("keeper", "holder", "daemon"):
        os.kill(pids[role], signal.SIGKILL)
    up.until("they are gone", lambda: not any(alive(pid) for pid in pids.values()))
    os.kill(ended.pid or 0, signal.SIGKILL)
    up.until("it is gone", lambda: not alive(ended.pid or 0))
    os.truncate(up.home.state / "daemon.lock", 0)  # as a supervisor does that leaves
    for words in (("ps",), ("ps", "--json"), ("ps", "-q")):
        shown = up.home.aish(*words)
        assert shown.returncode == 0
        assert "nothing is supervised" not in shown.stdout
        assert f"job (p1, pid {started.pid} lives)" in shown.stderr
        assert f"ends (p2, pid {ended.pid} has ended)" in shown.stderr
        assert "`aish ps -a`" in shown.stderr
    assert "job" in up.home.aish("ps", "-a").stdout
    up.next_daemon()
    assert running(up) == {"job": started.pid}
    assert up.home.aish("shutdown").returncode == 0
    shown = up.home.aish("ps")
    assert ("nothing is supervised" in shown.stdout, shown.stderr) == (True, "")
