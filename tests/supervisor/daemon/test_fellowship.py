"""Group strategies on real processes: who goes down with whom, in which order, over the daemon's death."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from aish.wire.message import Shutdown, Stop
from aish.wire.reply import Done
from aish.wire.spec import GroupPart, NeedPart, ProbePart, RestartPart, SchedulePart

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Supervised

NAMES = ("a", "b", "c")


def start(up: Supervised, how: str, folder: Path, **fields: Any) -> dict[str, int]:
    """a, b and c in this order; each notes its start and its end."""
    for place, name in enumerate(NAMES):
        script = (
            f"echo start {name} >> {folder}/order; trap 'echo stop {name} >> {folder}/order; exit 0' TERM;"
            " while :; do sleep 0.05; done"
        )
        wanted = {"restart": "on-failure", **fields}
        up.spawn("sh", "-c", script, name=name, group=GroupPart(name="web", strategy=how, place=place), **wanted)
    up.until("all run", lambda: len(order(folder)) == len(NAMES))
    return pids(up)


def pids(up: Supervised) -> dict[str, int]:
    return {name: up.row(name).pid or 0 for name in NAMES}


def order(folder: Path) -> list[str]:
    file = folder / "order"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.parametrize(
    ("how", "stopped", "started"),
    [
        ("one_for_one", [], ["start b"]),
        ("rest_for_one", ["stop c"], ["start b", "start c"]),
        ("one_for_all", ["stop c", "stop a"], ["start a", "start b", "start c"]),
    ],
)
def test_child_killed(up: Supervised, tmp_path: Path, how: str, stopped: list[str], started: list[str]) -> None:
    """Fault: b dies. Those concerned are stopped last first and started first first, the others are left alone."""
    before = start(up, how, tmp_path)
    count = len(NAMES) + len(stopped) + len(started)
    os.kill(before["b"], signal.SIGKILL)
    up.until("what is concerned runs again", lambda: len(order(tmp_path)) >= count)
    lines = order(tmp_path)[len(NAMES) :]
    assert (lines[: len(stopped)], sorted(lines[len(stopped) :])) == (stopped, started)
    up.until("all are told to run", lambda: all(up.row(name).state == "running" for name in NAMES))
    begun = sorted((up.row(name).started_s or 0.0, f"start {name}") for name in NAMES)
    assert [line for _, line in begun if line in started] == started, "who writes first is another matter"
    after = pids(up)
    concerned = {line.split()[1] for line in started}
    assert {name for name in NAMES if after[name] != before[name]} == concerned


def test_one_that_is_given_up_takes_the_others_with_it(up: Supervised, tmp_path: Path) -> None:
    start(up, "one_for_all", tmp_path, restart="never")
    os.kill(up.row("a").pid or 0, signal.SIGKILL)
    for name in ("b", "c"):
        end = up.wait(name)
        assert end.exit is not None
        assert (end.state, end.exit.reason) == ("exited", "group")
    assert order(tmp_path)[len(NAMES) :] == ["stop c", "stop b"]


def test_a_crash_loop_of_one_ends_the_group(up: Supervised) -> None:
    """Two that take each other down must not go on for ever."""
    group = GroupPart(name="web", strategy="one_for_all")
    how = RestartPart(most=3, delay_s=0.01)
    up.spawn("sleep", "100", name="calm", group=group, restart="always", restarts=how)
    up.spawn("sh", "-c", "sleep 0.05; exit 1", name="mad", group=group, restart="always", restarts=how)
    assert up.wait("mad").state == "failed"
    end = up.wait("calm")
    assert end.exit is not None
    assert end.exit.reason == "group"


def test_a_stop_by_a_person_is_no_failure(up: Supervised, tmp_path: Path) -> None:
    before = start(up, "one_for_all", tmp_path)
    up.client.ask(Done, Stop(target="b"))
    up.wait("b")
    after = pids(up)
    assert (after["a"], after["c"]) == (before["a"], before["c"])


def test_stop_during_a_restart_of_the_group(up: Supervised, tmp_path: Path) -> None:
    """Fault: a person stops one that is on its way back. It stays away."""
    before = start(up, "one_for_all", tmp_path)
    os.kill(before["a"], signal.SIGKILL)
    up.until("c is concerned", lambda: any(e.kind == "group" and e.name == "c" for e in up.events()))
    up.client.ask(Done, Stop(target="c", grace_s=0))
    assert up.wait("c").state == "exited"
    up.until("the others run", lambda: all(up.row(name).state == "running" for name in ("a", "b")))
    assert up.row("c").pid is None or up.row("c").state == "exited"
    assert "start c" not in order(tmp_path)[len(NAMES) :]


@pytest.mark.parametrize("kills", range(3))
@pytest.mark.usefixtures("home")
def test_daemon_killed_in_the_middle(up: Supervised, tmp_path: Path, kills: int) -> None:
    """Fault: the daemon dies while it stops the others. The next one goes on; each runs once."""
    before = start(up, "one_for_all", tmp_path)
    os.kill(before["b"], signal.SIGKILL)
    seen = {0: "group", 1: "stopping", 2: "exited"}[kills]
    up.until("it is under way", lambda: any(e.kind == seen for e in up.events()))
    up.kill_daemon()
    up.next_daemon()
    up.until("all run again", lambda: all(up.row(name).state == "running" for name in NAMES))
    after = pids(up)
    assert all(after[name] != before[name] for name in NAMES)
    assert sorted(order(tmp_path)[-3:]) == ["start a", "start b", "start c"]
    assert len(order(tmp_path)) == 3 + 2 + 3


def test_the_next_place_waits_until_the_one_before_is_ready(up: Supervised, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    ready = ProbePart(command=[b"test", b"-e", os.fsencode(flag)], every_s=0.05)
    group = {"name": "g", "strategy": "rest_for_one"}
    up.spawn("sleep", "100", name="first", ready=ready, group=GroupPart(place=0, **group))
    up.spawn("sleep", "100", name="second", group=GroupPart(place=1, **group))
    assert "first, which comes before it" in (up.row("second").reason or "")
    flag.touch()
    up.until("it runs", lambda: up.row("second").state == "running")


@pytest.mark.usefixtures("home")
def test_shutdown_stops_in_the_order_of_needs_and_places(up: Supervised, tmp_path: Path) -> None:
    start(up, "rest_for_one", tmp_path)
    trap = f"trap 'echo stop last >> {tmp_path}/order; exit 0' TERM"
    script = f"{trap}; echo start last >> {tmp_path}/order; while :; do sleep 0.05; done"
    up.spawn("sh", "-c", script, name="last", needs=[NeedPart(name="c")])
    up.until("it runs", lambda: "start last" in order(tmp_path))
    up.client.ask(Done, Shutdown(force=True))
    assert order(tmp_path)[len(NAMES) + 1 :] == ["stop last", "stop c", "stop b", "stop a"]


def test_who_needs_a_member_waits_while_the_group_starts_again(up: Supervised, tmp_path: Path) -> None:
    """It failed for good: for a moment the member that it needs had ended."""
    before = start(up, "one_for_all", tmp_path)
    for number in range(6):
        up.spawn("sleep", "100", name=f"n{number}", group=GroupPart(name="web", strategy="one_for_all", place=9))
    up.spawn("sleep", "100", name="needy", needs=[NeedPart(name="n5"), NeedPart(name="later", timeout_s=60.0)])
    os.kill(before["a"], signal.SIGKILL)
    up.until("all run again", lambda: all(up.row(name).state == "running" for name in (*NAMES, "n5")))
    assert up.row("needy").state == "queued"
    up.spawn("sleep", "100", name="later")
    up.until("it runs", lambda: up.row("needy").state == "running")


@pytest.mark.usefixtures("home")
def test_daemon_killed_before_one_that_waits_was_stopped(up: Supervised, tmp_path: Path) -> None:
    """Fault: what the group decided about one that is scheduled was forgotten, and held up all the others."""
    trap = f"trap 'touch {tmp_path}/asked; sleep 1; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    group = {"name": "g", "strategy": "one_for_all"}
    up.spawn("sh", "-c", "read x", name="first", pty=True, group=GroupPart(place=0, **group))
    up.spawn("true", name="nightly", schedule=SchedulePart(cron="@yearly"), group=GroupPart(place=1, **group))
    up.spawn("sh", "-c", trap, name="last", group=GroupPart(place=2, **group))
    up.until("it has begun", lambda: "up" in up.log("last")[0])
    os.kill(up.row("first").pid or 0, signal.SIGKILL)
    up.until("the last one is being stopped", (tmp_path / "asked").exists)
    up.kill_daemon()
    up.next_daemon()
    assert up.wait("nightly").state == "exited"
