"""Rules over usage windows, pure: as they are written, when they hold, whom they keep from going."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.errors import UsageError
from aish.supervisor.gateway.windows import rule as rules
from aish.supervisor.gateway.windows import words
from aish.supervisor.gateway.windows.ledger import HEADER, Account, Window
from aish.supervisor.gateway.windows.rule import Barrier, Caller, Rule, Rules, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = datetime(2026, 9, 23, 12, 0).astimezone()  # a Wednesday
WINDOW = Window(Account("claude"), "5h", 0.6, NOON.timestamp() + 3600, "allowed", 18000.0, 0.0, HEADER)  # type: ignore[arg-type]
BEHIND = Caller(frozenset({"p7", "review", "p1"}), background=True)
IN_FRONT = replace(BEHIND, background=False)


@pytest.fixture
def berlin() -> Iterator[None]:
    """A zone in which the clock is changed twice a year."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def rule(**asked: str) -> Rule:
    made = words.changed(None, asked)
    assert made is not None
    return made


def judged(
    made: Rule | None,
    caller: Caller = BEHIND,
    now: datetime = NOON,
    window: Window = WINDOW,
    part: float | None = None,
) -> Barrier | None:
    known = Rules({} if made is None else {Target("claude"): made})
    return rules.barrier(known, [window], caller, now, lambda window, subject: part)


# --- as they are written --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"reserve": "40%"}, {"reserve": "40%"}),
        ({"reserve": "12.5%", "hours": "9-18"}, {"reserve": "12.5%", "hours": "09-18"}),
        ({"reserve": "0%", "hours": "22:30-06"}, {"reserve": "0%", "hours": "22:30-06"}),
        ({"reserve": "1%", "hours": "18-00"}, {"reserve": "1%", "hours": "18-24"}),
        ({"reserve": "1%", "days": "Mon-Fri"}, {"reserve": "1%", "days": "mon-fri"}),
        ({"reserve": "1%", "days": "sat-mon,wed"}, {"reserve": "1%", "days": "mon,wed,sat,sun"}),
        ({"share.review": "30%", "share.key:ci": "5%"}, {"share.@review": "30%", "share.key:ci": "5%"}),
        (
            {"reserve": "40%", "background": "key:ci,@a", "foreground": "b"},
            {"reserve": "40%", "background": "key:ci,@a", "foreground": "@b"},
        ),
    ],
)
def test_what_is_written_is_told_as_it_is_written(asked: dict[str, str], told: dict[str, str]) -> None:
    made = words.changed(None, asked)
    assert made is not None
    assert words.told(made) == told
    assert words.changed(None, words.told(made)) == made


@pytest.mark.parametrize(
    ("word", "text"),
    [
        *(("reserve", text) for text in ("40", "0.4", "-1%", "101%", "nan%", "", "1e1%", "٤%")),
        *(("hours", text) for text in ("9", "9-9", "25-3", "24-6", "9:60-10", "-", "a-b", "00-00")),
        *(("days", text) for text in ("", "monday", "mon-", "fri-xyz", "1-5")),
        *(("share.@x", text) for text in ("half", "120%")),
        *((f"share.{name}", "10%") for name in ("", "@", "key:", "a b", "@" + "x" * 200)),
        *(("background", text) for text in ("", "a,,b", "*")),
        ("reserv", "40%"),
    ],
)
def test_what_is_wrong_is_refused_with_a_hint(word: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        words.changed(rule(reserve="40%"), {word: text})
    assert caught.value.hint


def test_words_change_alone_and_none_lifts() -> None:
    made = rule(reserve="40%", hours="09-18", **{"share.@a": "10%"})
    after = words.changed(made, {"hours": "none", "reserve": "50%"})
    assert after is not None
    assert words.told(after) == {"reserve": "50%", "share.@a": "10%"}
    assert words.changed(after, {"reserve": "none", "share.a": "none"}) is None


def test_a_rule_that_limits_nothing_is_refused() -> None:
    with pytest.raises(UsageError):
        words.changed(None, {"hours": "09-18"})


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("claude", Target("claude")),
        ("@claude/5h", Target("claude", "", "5h")),
        ("claude#1f0c3a77/7d_opus", Target("claude", "1f0c3a77", "7d_opus")),
        ("org/model:tag", Target("org/model:tag")),
    ],
)
def test_targets(text: str, target: Target) -> None:
    assert words.target(text) == target
    assert words.target(str(target)) == target


@pytest.mark.parametrize("text", ["", "/5h", "a b", "x" * 300, "claude#xyz", "*"])
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(UsageError):
        words.target(text)


# --- when they hold -------------------------------------------------------------------------------------------------


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """September 2026: the 21st is a Monday."""
    return datetime(2026, 9, day, hour, minute).astimezone()


@pytest.mark.parametrize(
    ("asked", "moment", "holds"),
    [
        ({"hours": "09-18"}, at(23, 9), True),
        ({"hours": "09-18"}, at(23, 18), False),
        ({"hours": "09-18", "days": "mon-fri"}, at(26, 12), False),
        ({"hours": "22-06"}, at(23, 5, 59), True),
        ({"hours": "22-06"}, at(23, 6), False),
        ({"hours": "22-06", "days": "fri"}, at(26, 5), True),  # of Friday's night
        ({"hours": "22-06", "days": "fri"}, at(25, 5), False),
        ({"hours": "18-24"}, at(23, 23, 59), True),
        ({"days": "sat,sun"}, at(26, 0), True),
        ({}, at(26, 0), True),
    ],
)
def test_hours_and_days(asked: dict[str, str], moment: datetime, holds: bool) -> None:
    assert rules.holds(rule(reserve="40%", **asked), moment) is holds


def test_the_end_of_hours_is_told() -> None:
    made = rule(reserve="40%", hours="09-18", days="mon-fri")
    assert rules.change_s(made, at(23, 12)) == at(23, 18).timestamp()
    assert rules.change_s(made, at(25, 18)) == at(28, 9).timestamp(), "over the weekend"
    assert rules.change_s(rule(reserve="40%"), NOON) is None
    assert rules.change_s(rule(reserve="40%", days="wed"), NOON) == at(24, 0).timestamp()


def test_an_hour_that_the_clock_leaves_out_ends_all_the_same(berlin: None) -> None:
    """On 29 March 2026 there is no 02:30."""
    made = rule(reserve="40%", hours="22-02:30")
    now = datetime(2026, 3, 29, 1, 30).astimezone()
    change_s = rules.change_s(made, now)
    assert change_s is not None
    assert 0 < change_s - now.timestamp() <= 3600 + 1800
    assert not rules.holds(made, datetime.fromtimestamp(change_s).astimezone())


def test_an_hour_that_comes_twice_is_one_of_the_rule(berlin: None) -> None:
    """On 25 October 2026 02:30 comes twice."""
    made = rule(reserve="40%", hours="02-03")
    now = datetime(2026, 10, 25, 2, 10).astimezone()
    change_s = rules.change_s(made, now)
    assert change_s is not None
    assert datetime.fromtimestamp(change_s).astimezone().hour == 3


RULES = st.builds(
    Rule,
    reserve=st.just(0.4),
    hours=st.one_of(
        st.none(), st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda pair: pair[0] != pair[1])
    ),
    days=st.one_of(st.none(), st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days)))),
)


@given(RULES, st.integers(1_735_689_600 // 60, 1_893_456_000 // 60))
def test_the_next_change_is_one_and_none_comes_before_it(made: Rule, minute: int) -> None:
    now = datetime.fromtimestamp(minute * 60).astimezone()
    change_s = rules.change_s(made, now)
    state = rules.holds(made, now)
    if change_s is None:
        assert all(rules.holds(made, now + timedelta(hours=hours)) == state for hours in range(0, 8 * 24, 5))
        return
    assert change_s > now.timestamp()
    assert rules.holds(made, datetime.fromtimestamp(change_s).astimezone()) != state
    span_s = change_s - now.timestamp()
    for tenth in range(10):
        between = datetime.fromtimestamp(now.timestamp() + span_s * tenth / 10).astimezone()
        assert rules.holds(made, between) == state


# --- whom they keep from going --------------------------------------------------------------------------------------


def test_the_background_is_held_at_the_reserve_and_the_foreground_goes_on() -> None:
    found = judged(rule(reserve="40%"))
    assert found is not None
    assert (found.what, found.used, found.most, found.until_s) == ("reserve", 0.6, 0.6, WINDOW.resets_s)
    assert judged(rule(reserve="40%"), IN_FRONT) is None
    assert judged(rule(reserve="39%")) is None
    assert judged(None) is None


def test_outside_of_its_hours_a_rule_holds_nobody() -> None:
    assert judged(rule(reserve="40%", hours="13-18")) is None
    found = judged(rule(reserve="40%", hours="09-12:30"))
    assert found is not None
    assert found.until_s == NOON.timestamp() + 1800, "the hours end before the window does"


def test_what_nobody_knows_holds_nobody() -> None:
    """A window that began anew has room; what was used of it since comes with the next answer."""
    assert judged(rule(reserve="100%"), window=replace(WINDOW, used=None)) is None


def test_a_reserve_of_nothing_waits_for_a_window_that_is_used_up() -> None:
    assert judged(rule(reserve="0%")) is None
    assert judged(rule(reserve="0%"), window=replace(WINDOW, used=None, status="rejected")) is not None


def test_who_is_in_front_can_be_said() -> None:
    assert judged(rule(reserve="40%", foreground="@review")) is None
    assert judged(rule(reserve="40%", background="@review"), IN_FRONT) is not None
    assert judged(rule(reserve="40%", background="p1", foreground="review"), IN_FRONT) is None
    assert judged(rule(reserve="40%", background="key:ci"), Caller(frozenset({"key:ci"}), background=False))


def test_that_the_rule_itself_names_who_is_in_the_background_is_told() -> None:
    """That a person waits for it changes nothing then."""
    for made, named in ((rule(reserve="40%"), False), (rule(reserve="40%", background="@review"), True)):
        found = judged(made)
        assert found is not None
        assert found.named is named


def test_a_share_holds_whoever_has_used_it_up_in_front_or_not() -> None:
    made = rule(**{"share.@review": "30%"})
    found = judged(made, IN_FRONT, part=0.31)
    assert found is not None
    assert (found.what, found.subject, found.used, found.most) == ("share", "@review", 0.31, 0.3)
    assert judged(made, IN_FRONT, part=0.29) is None
    assert judged(made, IN_FRONT, part=None) is None
    assert judged(made, Caller(frozenset({"p9"}), background=True), part=0.9) is None


def test_the_nearest_rule_counts_alone() -> None:
    account = Account("claude", "1f0c3a77")
    known = Rules(
        {
            Target("claude"): rule(reserve="90%"),
            Target("claude", "", "5h"): rule(reserve="10%"),
            Target("claude", "1f0c3a77"): rule(reserve="80%"),
            Target("claude", "1f0c3a77", "7d"): rule(reserve="20%"),
        }
    )
    reserves = [known.of(account, window) for window in ("5h", "7d", "7d_opus")]
    assert [each.reserve if each else None for each in reserves] == [0.1, 0.2, 0.8]
    assert known.of(Account("other"), "5h") is None


def test_of_several_windows_the_one_that_lasts_longest_is_told() -> None:
    week = replace(WINDOW, name="7d", resets_s=NOON.timestamp() + 86400)
    found = rules.barrier(
        Rules({Target("claude"): rule(reserve="40%")}), [week, WINDOW], BEHIND, NOON, lambda window, subject: None
    )
    assert found is not None
    assert found.window.name == "7d"
