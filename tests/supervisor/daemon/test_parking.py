"""Which process is parked, and by which end: decisions alone. What follows is in tests/cli/test_parking.py."""

from __future__ import annotations

import os
from typing import Any

import pytest

from aish.agents.host import invocation
from aish.model.exit import Exit
from aish.supervisor.daemon import machine
from aish.supervisor.daemon.flaw import flaws
from aish.supervisor.daemon.parking import PARK_LEAST_S, in_front, is_long, may_park
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.verdict import judge
from aish.wire.part import ParkedPart
from aish.wire.spec import SchedulePart, SpecPart

BARRED = ParkedPart(owner="window:claude/7d", what="window_reserve", used=0.9, budget=0.6, since_s=5.0)
HOST = [os.fsencode(word) for word in invocation.command([], file="/a/fix.md")]
ATTACHED = [os.fsencode(word) for word in invocation.command([], attached=True, file="/a/fix.md")]
OTHER = [b"python3", b"-c", b"pass"]


def row(spec: dict[str, Any] | None = None, **fields: Any) -> Row:
    made = SpecPart(**{"argv": HOST, "cwd": b"/", "kind": "agent", "when_reserved": "park"} | (spec or {}))
    return Row(**{"id": "p1", "number": 1, "name": "fix", "spec": made, "created_s": 1.0} | fields)


@pytest.mark.parametrize(
    ("spec", "fields", "expected"),
    [
        ({}, {}, True),
        ({"when_reserved": "hold"}, {}, False),
        ({"argv": OTHER}, {}, False),
        ({"argv": ATTACHED}, {}, False),
        ({"pty": True}, {}, False),
        ({}, {"targets": [0, 1]}, False),
        ({}, {"adopted": True}, False),
    ],
)
def test_only_what_can_go_on_later_is_parked(spec: dict[str, Any], fields: dict[str, Any], *, expected: bool) -> None:
    """Descriptors of a pipeline are gone by then, and a terminal is somebody's."""
    assert may_park(row(spec, **fields)) is expected


@pytest.mark.parametrize(
    ("until_s", "expected"),
    [(None, True), (1000.0 + PARK_LEAST_S, True), (999.0 + PARK_LEAST_S, False), (900.0, False)],
)
def test_a_short_hold_is_cheaper_than_another_start(until_s: float | None, *, expected: bool) -> None:
    barred = ParkedPart(owner="window:a/5h", what="window_reserve", used=1, budget=0.6, until_s=until_s, since_s=1.0)
    assert is_long(barred, 1000.0) is expected


def verdict(subject: Row, end: Exit, **more: Any) -> Any:
    words = {"cause": None, "ran_s": 5.0, "now_s": 100.0, "chance": 0.5, "restartable": True}
    return judge(subject, end, **(words | more))


@pytest.mark.parametrize("end", [Exit(None, 15), Exit(None, 9), Exit(1, None), Exit(None, None)])
@pytest.mark.parametrize("stop", [None, "parked"])
def test_every_end_but_success_is_the_parking_that_was_meant(end: Exit, stop: str | None) -> None:
    """By its stop signal, by SIGKILL after its grace, by a failure just then, by a reboot (nobody knows how): whether
    the daemon that meant it has noted that it sent the signal or not."""
    subject = row(parking=True, barred=BARRED, stop_reason=stop, lifecycle="stopping" if stop else "running")
    found = verdict(subject, end, restartable=False)
    assert isinstance(found.event, machine.Parks)
    assert found.exit.reason == "parked"


def test_who_was_done_just_before_is_done() -> None:
    found = verdict(row(parking=True, barred=BARRED, stop_reason=None, lifecycle="running"), Exit(0, None))
    assert (type(found.event), found.exit.reason) == (machine.Exited, "done")
    again = row({"restart": "always"}, parking=True, barred=BARRED, stop_reason="parked", lifecycle="stopping")
    assert isinstance(verdict(again, Exit(0, None)).event, machine.Parks), "it is to run again anyway"


@pytest.mark.parametrize("reason", ["cancelled", "parent", "restarted", "wrapup", "timeout"])
def test_any_other_stop_is_what_it_says(reason: str) -> None:
    subject = row(parking=True, barred=BARRED, stop_reason=reason, lifecycle="stopping")
    found = verdict(subject, Exit(None, 15))
    assert (type(found.event), found.exit.reason) == (machine.Exited, reason)


def test_a_run_of_a_schedule_is_parked_as_any_other() -> None:
    """Its next time would begin the same work anew, beside that which waits."""
    spec = {"schedule": SchedulePart(cron="@hourly")}
    subject = row(spec, parking=True, barred=BARRED, stop_reason="parked", lifecycle="stopping")
    assert isinstance(verdict(subject, Exit(None, 15)).event, machine.Parks)


def test_the_users_word_counts_for_a_while() -> None:
    assert not in_front(row(), 10.0)
    assert in_front(row(in_front_until_s=11.0), 10.0)
    assert not in_front(row(in_front_until_s=10.0), 10.0)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"kind": "command", "argv": OTHER}, "a command keeps no conversation"),
        ({"argv": OTHER}, "only an agent with an adapter"),
        ({"when_reserved": "parks"}, "expected hold, park or model:NAME"),
    ],
)
def test_what_could_never_go_on_is_refused(spec: dict[str, Any], said: str) -> None:
    (flaw,) = flaws(row(spec).spec)
    assert said in str(flaw)
    assert flaw.field == "when_reserved"
    assert not list(flaws(row().spec))
