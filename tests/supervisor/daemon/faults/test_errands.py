"""Keeper, holder, or both killed while something is run for a process: its hook, its secret, its check, its probe."""

from __future__ import annotations

import os
import select
import signal
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect
from aish.wire.reply import Waited
from aish.wire.spec import ProbePart, RestartPart, SecretPart

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Supervised

pytestmark = pytest.mark.usefixtures("home")

VICTIMS = ("holder", "keeper", "both")


def strike(up: Supervised, victims: str) -> None:
    if victims == "both":
        up.kill_parents()
    else:
        os.kill(up.programs()[victims], signal.SIGKILL)


def begun(up: Supervised, mark: Path, script: str, **fields: Any) -> None:
    """Ask for a job on a connection of its own, since the answer comes only when it runs; until `mark` is there."""
    with connect() as other:
        other.send(up.request(b"sh", b"-c", script.encode(), name="job", **fields))
        up.until("something is run for it", mark.exists)


def slow(mark: Path, then: str = "") -> list[bytes]:
    """It says that it has begun, and takes as long as the file `go` is not there."""
    go = mark.with_name("go")
    return [b"sh", b"-c", f"echo x >> {mark}; while ! test -e {go}; do sleep 0.05; done; {then}:".encode()]


@pytest.mark.parametrize("victims", VICTIMS)
def test_a_hook_before_the_start(up: Supervised, tmp_path: Path, victims: str) -> None:
    """'the holder went away' was taken for a hook that failed, or the process for one that may have run: lost."""
    mark = tmp_path / "mark"
    begun(up, mark, "exit 5", before=slow(mark))
    strike(up, victims)
    (tmp_path / "go").touch()
    up.next_daemon()
    assert up.code("job") == 5
    assert mark.read_text().count("x") in (1, 2)


@pytest.mark.parametrize("victims", VICTIMS)
def test_a_secret(up: Supervised, tmp_path: Path, victims: str) -> None:
    mark = tmp_path / "mark"
    source = SecretPart(command=slow(mark, "echo word; "))
    begun(up, mark, 'test "$TOKEN" = word', secret_sources={"TOKEN": source})
    strike(up, victims)
    (tmp_path / "go").touch()
    up.next_daemon()
    assert up.code("job") == 0


@pytest.mark.parametrize("victims", VICTIMS)
@pytest.mark.parametrize("verdict", [0, 4])
def test_a_check(up: Supervised, tmp_path: Path, victims: str, verdict: int) -> None:
    """It was asked twice, and what came of the second, which was ended as left behind, overwrote the first."""
    mark = tmp_path / "mark"
    up.spawn("true", name="job", check=slow(mark, f"exit {verdict}; "))
    up.until("it is checked", mark.exists)
    strike(up, victims)
    (tmp_path / "go").touch()
    up.next_daemon()
    told = up.code("job")
    row = up.row("job")
    assert (told, row.exit.code if row.exit is not None else None) == (verdict, verdict)


@pytest.mark.parametrize("victims", VICTIMS)
def test_a_probe_that_could_not_be_asked_says_nothing(up: Supervised, tmp_path: Path, victims: str) -> None:
    """All that were looked at by a command were 'unhealthy' when the holder died, and then stuck: never ended."""
    bad, asked = tmp_path / "bad", tmp_path / "asked"
    command = [b"sh", b"-c", f"echo x >> {asked}; ! test -e {bad}".encode()]
    live = ProbePart(command=command, every_s=0.02, failures=1)
    up.spawn("sleep", "600", name="job", live=live, restart="always", restarts=RestartPart(delay_s=0.01))
    up.until("it is asked", asked.exists)
    for _ in range(3):
        strike(up, victims)
        up.next_daemon()
        before = asked.read_text().count("x")
        up.until("it is asked again", lambda at=before: asked.read_text().count("x") > at)  # type: ignore[misc]
    assert "unhealthy" not in {event.kind for event in up.events()}
    assert (up.row("job").state, up.row("job").restarts) == ("running", 0)
    bad.touch()
    up.until("it is ended for that, and started again", lambda: up.row("job").restarts > 0)


@pytest.mark.parametrize("victim", ["holder", "keeper", "daemon"])
def test_one_that_was_being_ended_as_unhealthy_is_ended(up: Supervised, victim: str) -> None:
    """Its stop signal went to nobody: it lived on for ever, without a probe."""
    up.spawn(
        "sh", "-c", "trap '' TERM; while :; do sleep 1; done", name="job",
        live=ProbePart(address="127.0.0.1:9", every_s=0.05, failures=1),
        grace_s=0.5, restart="never",
    )  # fmt: skip
    up.until("it is found ill", lambda: "unhealthy" in {event.kind for event in up.events()})
    strike(up, victim)
    up.next_daemon()
    end: Waited = up.wait("job")
    assert end.exit is not None
    assert end.exit.reason == "unhealthy"


def test_what_a_daemon_was_ending_when_it_died_is_ended(up: Supervised, tmp_path: Path) -> None:
    """What was left behind and ignores TERM lived for ever where only its tag tells whose it is."""
    deaf = tmp_path / "deaf"
    deaf.write_text("trap '' TERM\necho $$ > pid\nwhile :; do sleep 0.1; done\n")
    script = f"cd {tmp_path}; setsid sh deaf & while ! test -s pid; do sleep 0.02; done"
    up.spawn("sh", "-c", script, name="job", grace_s=1.0)
    assert up.code("job") == 0
    up.until("it is being ended", lambda: "left-behind" in {event.kind for event in up.events()})
    pidfd = os.pidfd_open(int((tmp_path / "pid").read_text()))
    up.kill_daemon()
    up.next_daemon()
    assert select.select([pidfd], [], [], 20)[0], "it lives on"
    os.close(pidfd)
