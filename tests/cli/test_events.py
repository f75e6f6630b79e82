"""events: chosen by the daemon, complete over pages, and on over the daemon's end."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect

if TYPE_CHECKING:
    from conftest import Home


def told(home: Home, *words: str) -> list[tuple[str, str]]:
    lines = home.aish("events", "--json", *words).stdout.splitlines()
    return [(event["name"], event["kind"]) for event in map(json.loads, lines)]


@pytest.fixture
def two(home: Home) -> Home:
    home.client.spawn(["true"], name="one", labels={"team": "blue"}).wait()
    home.client.spawn(["false"], name="two").wait()
    return home


LIFE = ["created", "started", "exited"]


def test_what_is_asked_for_must_all_be_met(two: Home) -> None:
    assert [kind for _, kind in told(two, "one")] == LIFE
    assert told(two, "--kind", "exited,failed") == [("one", "exited"), ("two", "exited")]
    assert told(two, "--kind", "exited", "--kind", "started", "--name", "@two") == [
        ("two", "started"),
        ("two", "exited"),
    ]
    assert told(two, "--name", "p1", "--name", "two", "--kind", "created") == [("one", "created"), ("two", "created")]
    assert [kind for _, kind in told(two, "--label", "team=blue")] == LIFE
    assert told(two, "-l", "team=red") == []
    assert told(two, "-l", "team", "two") == []


def test_the_last_ones(two: Home) -> None:
    assert told(two, "-n", "1") == [("two", "exited")]
    assert told(two, "-n", "2", "one") == [("one", "started"), ("one", "exited")]
    assert told(two, "-n", "2", "-l", "team=blue") == [("one", "started"), ("one", "exited")]
    assert told(two, "-n", "100", "one") == [("one", kind) for kind in LIFE]
    assert told(two, "-n", "0") == []


def test_since_a_number_or_a_time(two: Home) -> None:
    events = [json.loads(line) for line in two.aish("events", "--json").stdout.splitlines()]
    middle = events[len(events) // 2]
    shown = two.aish("events", "--json", "--since", str(middle["number"])).stdout.splitlines()
    assert [json.loads(line)["number"] for line in shown] == [
        event["number"] for event in events if event["number"] > middle["number"]
    ]
    assert len(told(two, "--since", "1h")) == len(events)
    assert told(two, "--since", "2999-01-01") == []


def test_a_gone_process_is_found_by_name(two: Home) -> None:
    two.aish("forget", "one")
    assert [kind for _, kind in told(two, "--name", "one")] == LIFE


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--kind", "exitd"], "did you mean exited?"),
        (["--since", "yesterdy"], "not a time"),
        (["-n", "-1"], "expected 0 to"),
        (["-n", "1000000"], "expected 0 to"),
    ],
)
def test_wrong_words(home: Home, words: list[str], hint: str) -> None:
    done = home.aish("events", *words)
    assert done.returncode == 2
    assert hint in done.stderr


def test_more_than_a_page_is_shown_to_its_end(shared_home: Home) -> None:
    """Only the oldest 500 were."""
    nap = shared_home.client.spawn(["sleep", "60"], name="nap")
    for _ in range(300):
        nap.pause()
        nap.cont()
    shown = told(shared_home, "nap")
    assert len([kind for _, kind in shown if kind == "paused"]) == 300
    assert shown[-1] == ("nap", "continued")
    assert told(shared_home, "-n", "520", "--kind", "paused,continued", "nap") == shown[-520:]


def test_followed_over_a_daemons_end_nothing_is_lost_or_told_twice(home: Home) -> None:
    nap = home.client.spawn(["sleep", "60"], name="nap")
    following = home.popen("events", "-f", "--kind", "started,limited,exited", "--json", stdout=subprocess.PIPE)
    assert following.stdout is not None

    def told_next() -> Any:
        assert following.stdout is not None
        return json.loads(following.stdout.readline())

    assert told_next()["kind"] == "started"
    nap.limit(nice=5)
    assert told_next()["detail"] == {"nice": "5"}
    with connect(start=False, program="test") as client:
        os.kill(client.welcome.pid, signal.SIGKILL)
        client.reconnect()
    nap.limit(nice=6)
    assert told_next()["detail"] == {"nice": "6"}
    nap.signal(signal.SIGKILL)
    assert told_next()["kind"] == "exited"


def test_what_is_not_of_today_has_its_date_in_events_and_inspect(two: Home) -> None:
    """Fault: the time of day alone, however long ago it was."""
    two.client.close()
    assert two.aish("shutdown").returncode == 0
    with sqlite3.connect(two.state / "processes.db") as db:
        db.execute("UPDATE events SET time_s = time_s - 86400 WHERE name = 'one'")
    lines = two.aish("events", "--kind", "created,exited").stdout.splitlines()
    old, new = ([line for line in lines if f"{name} (" in line] for name in ("one", "two"))
    assert old
    assert all(re.match(r" +\d+  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in old)
    assert all(re.match(r" +\d+ {13}\d\d:\d\d:\d\d  ", line) for line in new), "as wide as those with a date"
    told = two.aish("inspect", "one").stdout
    assert re.search(r"^  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  created", told, re.M)
