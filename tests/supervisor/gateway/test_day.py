"""Which day budgets of a day are of: local midnights, clocks that are set, time zones, reboots."""

from __future__ import annotations

import datetime
import os
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.supervisor.gateway.day import LONGEST_S, Day, midnight_s

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


@pytest.fixture(params=["UTC", "America/Sao_Paulo", "Pacific/Kiritimati", "Europe/Berlin"])
def zone(request: pytest.FixtureRequest) -> Iterator[str]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield request.param
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def at(*when: int) -> float:
    return datetime.datetime(*when).timestamp()  # noqa: DTZ001  local, which is what this is about


def test_a_day_begins_at_local_midnight(zone: str) -> None:
    day = Day()
    assert day.look(at(2025, 11, 29, 23, 59, 59), 1000.0)
    assert (day.date, day.ends_s) == ("2025-11-29", at(2025, 11, 30))
    assert not day.look(at(2025, 11, 29, 23, 59, 59) + 0.5, 1000.5)
    assert day.look(day.ends_s, 1001.0)
    assert day.date == "2025-11-30"


def test_days_of_daylight_saving_end_when_they_end(zone: str) -> None:
    """In Sao Paulo there was no midnight on 4 November 2018; in Berlin 26 October 2025 had 25 hours."""
    for number in (datetime.date(2018, 11, 3).toordinal(), datetime.date(2025, 10, 26).toordinal()):
        day = Day()
        day.look(midnight_s(number), 0.0)
        assert day.number == number
        assert not day.look(day.ends_s - 1, 1.0)
        assert day.look(day.ends_s, 2.0)
        assert day.number == number + 1


def test_a_clock_that_is_set_back_gives_no_day_again(zone: str) -> None:
    day = Day()
    day.look(at(2025, 11, 29, 12), 0.0)
    assert not day.look(at(2025, 11, 28, 23), 1.0)
    assert day.look(at(2025, 11, 30), 2.0), "it goes on as ever"


def test_a_clock_that_was_wrong_for_a_moment_keeps_nothing_spent_for_a_year(zone: str) -> None:
    day = Day()
    day.look(at(2025, 11, 29, 12), 0.0)
    assert day.look(at(2026, 11, 29, 12), 10.0), "set forward it is another day"
    assert not day.look(at(2025, 11, 29, 13), 20.0)
    assert not day.look(at(2025, 11, 30, 11), 10.0 + LONGEST_S - 1)
    assert day.look(at(2025, 11, 30, 12), 10.0 + LONGEST_S)
    assert day.date == "2025-11-30"


def test_a_reboot_into_1970_waits_a_day_of_the_new_boot(zone: str) -> None:
    day = Day()
    day.look(at(2025, 11, 29, 12), 500_000.0)
    assert not day.look(at(1970, 1, 2, 0, 5), 5.0)
    assert not day.look(at(1970, 1, 2, 23), LONGEST_S - 1)
    assert day.look(at(1970, 1, 3), LONGEST_S)
    assert day.look(at(2025, 11, 29, 12), LONGEST_S + 60), "the clock was set right"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 3 * DAY_S), st.none() | st.floats(-400 * DAY_S, 400 * DAY_S), st.booleans())))
def test_however_the_clock_is_set_no_day_is_gone_back_to_within_a_day(
    moves: list[tuple[float, float | None, bool]],
) -> None:
    """Time passes, the clock is set by so much, the machine is started anew."""
    day, now_s, real_s, booted_s = Day(), at(2025, 11, 29, 12), 0.0, 0.0
    day.look(now_s, 0.0)
    turned_s = 0.0
    for passed_s, set_by_s, reboots in moves:
        now_s, real_s = now_s + passed_s + (set_by_s or 0.0), real_s + passed_s
        booted_s = real_s if reboots else booted_s
        before = day.number
        if day.look(now_s, real_s - booted_s):
            assert day.number > before or real_s - turned_s >= LONGEST_S
            turned_s = real_s
        assert day.number != before or day.number >= datetime.date.fromtimestamp(now_s).toordinal()  # noqa: DTZ012
        assert now_s < day.ends_s
