"""Schedules on real processes: run again and again, never twice at once, over the daemon's death."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from aish.client import launch
from aish.errors import InputError
from aish.wire.message import Amend, History, Restart, Start, Stop
from aish.wire.reply import Done, Runs
from aish.wire.spec import ProbePart, SchedulePart

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Supervised

EVERY_SECOND = SchedulePart(cron="* * * * * *")
YEARLY = SchedulePart(cron="@yearly")


def runs(up: Supervised, target: str) -> int:
    id_ = up.row(target).id
    return sum(1 for event in up.events() if event.process == id_ and event.kind == "started")


def test_it_does_not_run_at_once_and_says_when(up: Supervised) -> None:
    started = up.spawn("true", name="yearly", schedule=YEARLY)
    row = up.row("yearly")
    assert (started.state, row.state, row.pid) == ("scheduled", "scheduled", None)
    assert "its next run is at" in (started.reason or "")
    assert "-01-01 00:00" in (row.reason or "")
    assert row.due_s is not None


def test_it_runs_at_each_of_its_times_with_one_log(up: Supervised) -> None:
    up.spawn("sh", "-c", "echo run", name="tick", schedule=EVERY_SECOND)
    up.until("it ran three times", lambda: up.log("tick")[0].count("run") >= 3)
    row = up.row("tick")
    assert row.restarts == 0, "a time of its schedule is no restart"
    up.client.ask(Done, Stop(target="tick"))
    assert up.wait("tick").exit is not None


def test_one_that_is_still_at_it_is_not_started_a_second_time(up: Supervised, tmp_path: Path) -> None:
    """Two at once would overwrite each other's work."""
    script = f"mkdir {tmp_path}/lock || touch {tmp_path}/twice; sleep 2.2; rmdir {tmp_path}/lock"
    up.spawn("sh", "-c", script, name="slow", schedule=EVERY_SECOND)
    up.until("it ran twice", lambda: runs(up, "slow") >= 2)
    assert not (tmp_path / "twice").exists()
    up.client.ask(Done, Stop(target="slow", grace_s=0))


def test_a_failed_run_is_followed_by_the_next_and_its_end_is_shown(up: Supervised) -> None:
    up.spawn("sh", "-c", "exit 7", name="bad", schedule=EVERY_SECOND)
    up.until("it failed twice", lambda: runs(up, "bad") >= 2)
    up.until("it waits again", lambda: up.row("bad").state == "scheduled")
    end = up.row("bad").exit
    assert end is not None
    assert end.code == 7


def test_a_program_that_is_missing_today_may_be_there_tomorrow(up: Supervised, tmp_path: Path) -> None:
    program = tmp_path / "later"
    up.spawn(str(program), name="later", schedule=EVERY_SECOND)
    id_ = up.row("later").id
    up.until("it failed to start", lambda: any(e.kind == "ended" and e.process == id_ for e in up.events()))
    program.write_text("#!/bin/sh\necho there\n")
    program.chmod(0o755)
    up.until("it runs", lambda: "there" in up.log("later")[0])


def test_a_run_that_takes_too_long_is_stopped_and_the_next_one_comes(up: Supervised) -> None:
    up.spawn("sleep", "100", name="long", schedule=EVERY_SECOND, run_timeout_s=0.3)
    up.until("it ran twice", lambda: runs(up, "long") >= 2)
    up.client.ask(Done, Stop(target="long", grace_s=0))
    end = up.wait("long")
    assert end.state == "exited", "a stop by a person ends the schedule, whatever is under way"


@pytest.mark.parametrize("when", ["waiting", "running"])
def test_a_stop_ends_the_schedule_and_a_start_takes_it_up(up: Supervised, when: str) -> None:
    up.spawn("sleep", "100", name="job", schedule=YEARLY)
    if when == "running":
        up.client.ask(Done, Start(target="job", launch=launch.capture()))
        assert up.row("job").state == "running", "`start` of what waits runs it now"
    up.client.ask(Done, Stop(target="job"))
    assert up.wait("job").state == "exited"
    up.client.ask(Done, Start(target="job", launch=launch.capture()))
    row = up.row("job")
    assert (row.state, row.due_s is not None) == ("scheduled", True)


@pytest.mark.usefixtures("home")
def test_daemon_killed_while_it_waits(up: Supervised) -> None:
    """Fault: the daemon dies. The next one knows the time, and runs it."""
    up.spawn("sh", "-c", "echo run", name="tick", schedule=EVERY_SECOND)
    for _ in range(3):
        before = up.log("tick")[0].count("run")
        up.kill_daemon()
        up.next_daemon()
        up.until("it ran again", lambda before=before: up.log("tick")[0].count("run") > before)  # type: ignore[misc]


@pytest.mark.usefixtures("home")
@pytest.mark.slow
def test_daemon_killed_in_every_run(up: Supervised, tmp_path: Path) -> None:
    """Fault: the daemon dies as it starts a run: each time is run once."""
    up.spawn("sh", "-c", f"date +%s >> {tmp_path}/times; sleep 0.2", name="tick", schedule=EVERY_SECOND)
    for count in range(1, 5):
        up.until("it has begun", lambda count=count: len(times(tmp_path)) >= count)  # type: ignore[misc]
        up.kill_daemon()
        up.next_daemon()
    found = times(tmp_path)
    assert len(found) == len(set(found)), "a time was run twice"


def times(folder: Path) -> list[str]:
    file = folder / "times"
    return file.read_text().split() if file.exists() else []


@pytest.mark.usefixtures("home")
def test_holder_killed_while_it_runs(up: Supervised) -> None:
    up.spawn("sh", "-c", "echo run; sleep 0.3", name="tick", schedule=EVERY_SECOND)
    up.until("it ran", lambda: up.log("tick")[0].count("run") >= 1)
    before = runs(up, "tick")
    _, holder = up.holder_pids()
    os.kill(holder, signal.SIGKILL)
    up.until("it goes on", lambda: runs(up, "tick") > before + 1)


def test_the_schedule_can_be_changed_while_it_waits(up: Supervised) -> None:
    started = up.spawn("sh", "-c", "echo run", name="job", schedule=YEARLY)
    spec = up.inspect("job").spec
    up.client.ask(Done, Amend(target="job", spec=msgspec.structs.replace(spec, schedule=EVERY_SECOND)))
    up.until("it runs", lambda: "run" in up.log("job")[0])
    up.client.ask(Done, Restart(target="job", spec=msgspec.structs.replace(spec, schedule=YEARLY)))
    row = up.row("job")
    assert row.id == started.id
    assert row.state == "scheduled"


def test_hostile_words_are_refused_with_their_field(up: Supervised) -> None:
    with pytest.raises(InputError, match="0 0 30 2"):
        up.spawn("true", schedule=SchedulePart(cron="0 0 30 2 *"))
    with pytest.raises(InputError):
        up.spawn("true", schedule=SchedulePart(cron="@daily", missed="perhaps"))


def test_it_keeps_the_supervisor_from_leaving(
    home: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """With nothing but a schedule left the daemon must stay: who else would start it?"""
    monkeypatch.setenv("AISH_IDLE_S", "0.2")
    up: Supervised = request.getfixturevalue("up")
    up.spawn("sh", "-c", "echo run", name="tick", schedule=EVERY_SECOND)
    pid = up.daemon_pid
    up.client.close()
    up.until("it ran three times", lambda: (home.state / "logs").is_dir() and log_of(home).count("run") >= 3)
    up.next_daemon()
    assert up.daemon_pid == pid


def log_of(home: Any) -> str:
    return "".join(path.read_text() for path in (home.state / "logs").rglob("*") if path.name.endswith("out"))


def test_last_words_of_a_run_do_not_stop_the_schedule(up: Supervised) -> None:
    """A number of 400 digits, said just before the end, left it scheduled for ever in the past."""
    code = (
        "import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
        "s.sendto(b'READY=1\\nEXTEND_TIMEOUT_USEC=' + b'9' * 400, os.environ['NOTIFY_SOCKET'])"
    )
    up.python(code, name="tick", schedule=EVERY_SECOND, ready=ProbePart(notify=True))
    up.until("it ran twice", lambda: runs(up, "tick") >= 2)


def test_each_run_has_a_number_of_its_own_and_who_began_it(up: Supervised) -> None:
    up.spawn("true", name="job", schedule=YEARLY)
    for count in (1, 2):
        up.client.ask(Done, Start(target="job", launch=launch.capture()))
        up.until("it is over", lambda count=count: runs(up, "job") == count and up.row("job").state == "scheduled")  # type: ignore[misc]
    up.client.ask(Done, Stop(target="job"))
    up.client.ask(Done, Start(target="job", launch=launch.capture()))
    up.client.ask(Done, Start(target="job", launch=launch.capture()))
    up.until("it is over", lambda: runs(up, "job") == 3 and up.row("job").state == "scheduled")
    found = up.client.ask(Runs, History(target="job")).runs
    over = [run for run in found if run.ended_s is not None]
    assert [run.number for run in over] == list(range(len(over), 0, -1))
    assert {run.begun_by for run in over if run.pid is not None} == {"the user"}
