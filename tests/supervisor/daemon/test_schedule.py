"""When a schedule is due: over changes of the clock, missed times and hostile words."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest

from aish.supervisor.daemon import schedule
from aish.wire.spec import SchedulePart

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def told(found: float | None) -> str:
    assert found is not None
    return datetime.datetime.fromtimestamp(found, BERLIN).strftime("%Y-%m-%d %H:%M")


def daily(**fields: str) -> SchedulePart:
    return SchedulePart(cron="30 2 * * *", timezone="Europe/Berlin", **fields)


def test_the_next_time_is_in_its_own_time_zone() -> None:
    assert told(schedule.after(daily(), at("2026-11-29T12:00"))) == "2026-11-30 02:30"
    utc = SchedulePart(cron="30 2 * * *", timezone="UTC")
    assert told(schedule.after(utc, at("2026-11-29T12:00"))) == "2026-11-30 03:30"


def test_a_time_that_the_clock_skips_or_repeats_is_run_once() -> None:
    """Spring forward skips 02:30, autumn has it twice: a nightly job runs once in each night."""
    spring = [at("2026-03-28T12:00")]
    while len(spring) < 4:
        found = schedule.after(daily(), spring[-1])
        assert found is not None
        spring.append(found)
    assert [told(moment)[:10] for moment in spring[1:]] == ["2026-03-29", "2026-03-30", "2026-03-31"]
    autumn = schedule.after(daily(), at("2026-10-24T12:00"))
    assert autumn is not None
    again = schedule.after(daily(), autumn)
    assert told(autumn)[:10] == "2026-10-25"
    assert told(again)[:10] == "2026-10-26"


@pytest.mark.parametrize(("missed", "next_"), [("skip", "2026-11-30 02:30"), ("once", "2026-11-27 02:30")])
def test_missed_times_are_skipped_or_made_up_for(missed: str, next_: str) -> None:
    """The machine was off for three nights."""
    part = daily(missed=missed)
    assert told(schedule.following(part, at("2026-11-29T12:00"), at("2026-11-26T02:30"))) == next_


def test_no_time_is_run_twice_when_the_clock_is_set_back() -> None:
    ran = at("2026-11-29T02:30")
    assert told(schedule.following(daily(), at("2026-11-29T02:00"), ran)) == "2026-11-30 02:30"


def test_a_clock_that_was_days_ahead_does_not_stop_the_schedule_for_days() -> None:
    assert told(schedule.following(daily(), at("2026-11-29T12:00"), at("2026-12-24T02:30"))) == "2026-11-30 02:30"


def test_a_little_late_is_not_too_late() -> None:
    """A daemon that was replaced in that second, a busy machine."""
    due = at("2026-11-29T02:30")
    assert not schedule.late(daily(), due, due + 20)
    assert schedule.late(daily(), due, due + 3600)
    assert not schedule.late(daily(missed="once"), due, due + 3600)


@pytest.mark.parametrize(
    "words", ["@hourly", "@daily", "@weekly", "@monthly", "@yearly", "0 9 * * MON-FRI", "*/5 * * * * *"]
)
def test_words_that_are_schedules(words: str) -> None:
    assert list(schedule.flaws(SchedulePart(cron=words))) == []


@pytest.mark.parametrize(
    "words",
    [
        "",
        "daily",
        "@often",
        "* * * *",
        "61 * * * *",
        "0 0 30 2 *",
        "* * * * * * *",
        "5L/2 * * * *",
        "9" * 5000,
        "*/0 * * * *",
    ],
)
def test_words_that_are_none_are_refused(words: str) -> None:
    """30 February never comes: it would wait for ever in silence."""
    (refused,) = schedule.flaws(SchedulePart(cron=words))
    assert refused.field == "schedule.cron"
    assert refused.hint


def test_an_unknown_time_zone_is_refused() -> None:
    for zone in ("Berlin", "../../etc/passwd", "", "\0"):
        (refused,) = schedule.flaws(SchedulePart(cron="@daily", timezone=zone))
        assert refused.field == "schedule.timezone"
