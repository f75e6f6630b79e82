"""What verbs print of moments."""

from __future__ import annotations

import time

import pytest

from aish.cli.output import when

NOON_S = time.mktime((2026, 7, 2, 12, 0, 0, 0, 0, -1))


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ((2026, 7, 2, 11, 59, 58), "11:59:58"),
        ((2026, 7, 2, 0, 0, 0), "00:00:00"),
        ((2026, 7, 2, 23, 0, 0), "23:00:00"),
        ((2026, 7, 1, 23, 59, 59), "2026-07-01 23:59:59"),
        ((2025, 7, 2, 11, 0, 0), "2025-07-02 11:00:00"),
        ((2026, 7, 3, 1, 0, 0), "2026-07-03 01:00:00"),
    ],
)
def test_what_is_not_of_today_has_its_date(at: tuple[int, ...], shown: str) -> None:
    """Fault: 23:59 of yesterday, told at noon, looked as if it were still to come."""
    assert when(time.mktime((*at, 0, 0, -1)), NOON_S) == shown


def test_what_nobody_knows_is_no_moment() -> None:
    assert when(None, NOON_S) == "-"
