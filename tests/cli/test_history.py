"""What was: `ps --ended` and `inspect --history`."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect
from aish.errors import NotRunningError

if TYPE_CHECKING:
    from conftest import Home


def runs(home: Home, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(home.aish("inspect", "--history", "--json", *words).stdout)["runs"]
    return found


def test_the_ended_newest_first(shared_home: Home) -> None:
    one = shared_home.client.spawn(["sh", "-c", "exit 3"], name="one", labels={"team": "blue"})
    one.wait()
    shared_home.client.spawn(["sleep", "60"], name="nap")
    shared_home.aish("spawn", "--name", "bad", "--", "/no/such/program")
    shared_home.client.stop("nap", grace_s=0)
    shared_home.client.spawn(["sleep", "60"], name="living")
    shown = shared_home.aish("ps", "--ended").stdout.splitlines()
    assert shown[0].split() == ["ID", "NAME", "KIND", "STATE", "ENDED", "RAN", "RESTARTS", "EXIT", "WHY"]
    assert [line.split()[1] for line in shown[1:]] == ["nap", "bad", "one"]
    cells = shown[1].split()
    assert (cells[3], cells[6], cells[7], cells[8]) == ("exited", "0", "SIGKILL", "cancelled")
    assert "start: " in shown[2]
    assert "the program cannot be run" in shown[2]
    assert [row["name"] for row in json.loads(shared_home.aish("ps", "--ended", "--json").stdout)] == [
        "nap",
        "bad",
        "one",
    ]
    assert shared_home.aish("ps", "--ended", "-q", "-l", "team").stdout == f"{one.id}\n"


def test_ended_since(shared_home: Home) -> None:
    one = shared_home.client.spawn(["true"], name="one")
    one.wait()
    assert shared_home.aish("ps", "--ended", "--since", "1h", "-q").stdout == f"{one.id}\n"
    later = shared_home.aish("ps", "--ended", "--since", "2999-01-01")
    assert (later.returncode, later.stdout) == (0, "no process has ended since 2999-01-01\n")
    assert "needs --ended" in shared_home.aish("ps", "--since", "1h").stderr


def test_each_run_with_its_end_and_who_wanted_it(home: Home) -> None:
    """Over restarts by the policy, by a person, and over the daemon's death."""
    script = "echo x >> runs; test $(wc -l < runs) -lt 3 && exit 4; echo up; sleep 60"
    words = ("--restart", "on-failure", "--restart-delay", "0.01", "--ready", "line:up", "--", "sh", "-c", script)
    home.aish("spawn", "--name", "loop", *words, cwd=home.root)
    assert home.aish("wait", "--ready", "loop").returncode == 0
    with connect(start=False, program="test") as client:
        os.kill(client.welcome.pid, signal.SIGKILL)
        client.reconnect()
    home.aish("stop", "--now", "loop")
    home.aish("start", "loop", cwd=home.root)
    found = runs(home, "loop")
    assert [run["number"] for run in found] == [4, 3, 2, 1]
    now, third, second, first = found
    assert (first["exit"]["code"], second["exit"]["code"], third["exit"]["signal"]) == (4, 4, 9)
    assert [run["begun_by"] for run in found] == ["the user", "its restart policy", "its restart policy", "the user"]
    assert [run["ended_by"] for run in found] == [None, "the user", None, None]
    assert (now["ended_s"], now["exit"]) == (None, None)
    for run in (first, second, third):
        assert run["started_s"] <= run["ended_s"]
        assert run["pid"] > 1
    assert len({run["pid"] for run in found}) == 4
    lines = home.aish("inspect", "--history", "-n", "1", "loop").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["RUN", "4", "3"]
    assert "begun by its restart policy, ended by the user" in lines[2]


def test_a_run_that_came_to_nothing(shared_home: Home) -> None:
    shared_home.aish("spawn", "--name", "bad", "--before", "exit 1", "--", "sleep", "60")
    shared_home.client.wait("bad")
    (run,) = runs(shared_home, "bad")
    assert (run["started_s"], run["pid"], run["exit"]["reason"]) == (None, None, "hook")
    assert "its hook before the start ended with 1" in run["reason"]


def test_a_stop_between_two_runs_is_no_run(shared_home: Home) -> None:
    """It took the number, and the place, of the run before."""
    words = ("--restart", "always", "--restart-delay", "600:600", "--", "sh", "-c", "exit 4")
    shared_home.aish("spawn", "--name", "later", *words)
    events = shared_home.popen("events", "-f", "--kind", "ended", "later", stdout=-1)
    assert events.stdout is not None
    for _ in range(2):  # the first restart comes at once
        events.stdout.readline()
    shared_home.client.stop("later")
    assert [(run["number"], run["exit"]["code"]) for run in runs(shared_home, "later")] == [(2, 4), (1, 4)]


def test_a_signal_s_sender_is_named(shared_home: Home) -> None:
    nap = shared_home.client.spawn(["sleep", "60"], name="nap")
    shared_home.aish("kill", "-9", "nap")
    nap.wait()
    assert runs(shared_home, "nap")[0]["ended_by"] == "the user"


def test_no_more_than_are_kept(shared_home: Home) -> None:
    shared_home.aish(
        "spawn",
        "--name",
        "busy",
        "--restart",
        "always",
        "--restart-limit",
        "none",
        "--restart-delay",
        "0.001:0.001",
        "--",
        "true",
    )
    following = shared_home.popen("events", "-f", "--kind", "ended", "busy", stdout=-1)
    assert following.stdout is not None
    for _ in range(120):
        following.stdout.readline()
    shared_home.client.stop("busy")
    found = runs(shared_home, "busy", "-n", "100")
    numbers = [run["number"] for run in found if run["ended_s"] is not None]
    assert len(numbers) == 100
    assert numbers == list(range(numbers[0], numbers[0] - 100, -1))
    shared_home.client.forget("busy")
    shared_home.client.spawn(["sleep", "60"], name="other")
    assert len(runs(shared_home, "other")) == 1


@pytest.mark.parametrize("count", ["-1", "101"])
def test_wrong_words(home: Home, count: str) -> None:
    assert home.aish("inspect", "--history", "-n", count, "x").returncode == 2


@pytest.mark.slow
def test_what_was_is_told_after_the_supervisor_was_ended(home: Home) -> None:
    """'no process has ended', said ps --ended, and the others that the daemon is not running."""
    assert home.aish("inspect", "one").stderr.startswith("aish inspect: the daemon is not running")
    home.aish("spawn", "--name", "one", "--", "sh", "-c", "echo word; exit 3")
    assert home.aish("wait", "one").returncode == 3
    for words, shown in (
        (("ps", "--ended", "-q"), "p1\n"),
        (("inspect", "--history", "one"), "begun by the user"),
        (("logs", "one"), "word\n"),
        (("why", "one"), "with status 3"),
        (("events", "--kind", "failed,exited"), "exited"),
    ):
        assert home.aish("shutdown").returncode == 0
        assert shown in home.aish(*words).stdout, words
    home.aish("shutdown")
    assert home.aish("ps").stdout.startswith("nothing is supervised"), "no daemon is started for it"
    with pytest.raises(NotRunningError):
        connect(start=False, program="test")
    assert home.aish("start", "one", cwd=home.root).returncode == 0
