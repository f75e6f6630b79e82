"""Times as people write them."""

from __future__ import annotations

import time
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.errors import UsageError
from aish.model.moment import iso, parse_duration_s, parse_moment_s

NOW_S = datetime(2026, 7, 1, 12, 30, 15).astimezone().timestamp()


def local_s(*parts: int) -> float:
    return datetime(*parts).astimezone().timestamp()  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("1.5m", 90), ("2h", 7200), ("1d", 86400), ("2w", 1_209_600), (" 3 s ", 3)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "10", "10x", "-1s", "1e3s", "1.2.3s", "٣s", "9" * 400 + "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a duration"):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("text", "moment_s"),
    [
        ("10s", NOW_S - 10),
        ("5m ago", NOW_S - 300),
        ("2h ago", NOW_S - 7200),
        ("12:30", local_s(2026, 7, 1, 12, 30)),
        ("9:05", local_s(2026, 7, 1, 9, 5)),
        ("12:30:15", local_s(2026, 7, 1, 12, 30, 15)),
        ("23:00", local_s(2026, 6, 30, 23, 0)),
        ("2026-06-30", local_s(2026, 6, 30)),
        ("2026-06-30T01:02:03.5", local_s(2026, 6, 30, 1, 2, 3) + 0.5),
        ("2026-06-30 01:02", local_s(2026, 6, 30, 1, 2)),
        ("2026-06-30T01:02:03Z", 1782781323),
        ("2026-06-30T01:02:03+02:00", 1782774123),
    ],
)
def test_moments(text: str, moment_s: float) -> None:
    assert parse_moment_s(text, NOW_S) == pytest.approx(moment_s)


@pytest.mark.parametrize("text", ["", "ago", "yesterday", "25:00", "12:60", "2026-13-01", "1:2:3:4", "\0", "-5m"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a time") as caught:
        parse_moment_s(text, NOW_S)
    assert "14:30" in (caught.value.hint or "")


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        parse_moment_s(text, NOW_S)
    except UsageError:
        return


def test_what_is_shown_can_be_typed_and_is_never_earlier() -> None:
    now_ns = time.time_ns()
    assert 0 <= parse_moment_s(iso(now_ns), NOW_S) - now_ns / 1e9 < 0.002
