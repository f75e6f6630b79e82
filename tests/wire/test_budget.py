"""Budgets as people write them."""

from __future__ import annotations

import math

import pytest

from aish.errors import InputError, UsageError
from aish.wire import budget
from aish.wire.spec import BudgetPart


@pytest.mark.parametrize(
    ("text", "tokens", "part"),
    [
        ("200k", 200_000, None),
        ("tokens=200k", 200_000, None),
        ("usd=5,hard", None, BudgetPart(usd=5.0, hard=True)),
        ("1M/day", None, BudgetPart(tokens_per_day=1_000_000)),
        ("usd=5,usd=2/day,tokens=1k", 1000, BudgetPart(usd=5.0, usd_per_day=2.0)),
        ("requests=9/day,usd/day=2", None, BudgetPart(requests_per_day=9, usd_per_day=2.0)),
        (
            "tokens=1M, input=500k,output=50k,requests=100,rpm=30,concurrent=4,context=32k,hard=no",
            1_000_000,
            BudgetPart(
                input_tokens=500_000,
                output_tokens=50_000,
                requests=100,
                requests_per_minute=30,
                concurrent=4,
                context_tokens=32_000,
            ),
        ),
    ],
)
def test_what_people_write(text: str, tokens: int | None, part: BudgetPart | None) -> None:
    assert budget.parse(text, "--budget") == (tokens, part, None)
    if part is not None:
        assert budget.after(None, budget.told(part)) == part, "what is told can be written again"


@pytest.mark.parametrize(
    "text",
    [
        "usd=",
        "usd=x",
        "usd=-1",
        "usd=nan",
        "usd=1e9",
        "rpm=x",
        "rpm=9/day",
        "hard/day",
        "speed=9",
        "wall=x",
        "wall=2h/day",
        "hard=maybe",
        "x",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(UsageError):
        budget.parse(text, "--budget")


def test_for_how_long_it_may_run() -> None:
    assert budget.parse("usd=5,wall=2h", "--budget") == (None, BudgetPart(usd=5.0), 7200.0)
    assert budget.wall_after(7200.0, "+30m") == 9000.0
    assert budget.wall_after(None, "90s") == 90.0
    assert budget.wall_after(90.0, "none") is None
    with pytest.raises(UsageError, match="no limit of wall to raise"):
        budget.wall_after(None, "+5m")
    assert budget.whole(None, BudgetPart(usd_per_day=2.5), 9000.0) == "usd=2.5/day wall=150m"
    assert [budget.whole(None, None, seconds) for seconds in (90.5, 7200.0, 86400.0)] == [
        "wall=90.5s",
        "wall=2h",
        "wall=1d",
    ]


def test_changes() -> None:
    part = BudgetPart(usd=1.0, requests=5)
    assert budget.after(part, {"usd": "+0.5", "requests": "none"}) == BudgetPart(usd=1.5)
    assert budget.after(part, {}) is part
    assert budget.after(part, {"usd": "none", "requests": "none"}) is None
    with pytest.raises(UsageError, match="no limit of usd to raise"):
        budget.after(None, {"usd": "+1"})
    assert budget.after(part, {"usd/day": "2"}) == BudgetPart(usd=1.0, requests=5, usd_per_day=2.0)
    with pytest.raises(UsageError, match="no limit of usd/day to raise"):
        budget.after(part, {"usd/day": "+1"})


@pytest.mark.parametrize(
    "part",
    [BudgetPart(usd=math.nan), BudgetPart(usd=-1.0), BudgetPart(requests=-1), BudgetPart(context_tokens=1 << 60)],
)
def test_what_a_client_may_not_send(part: BudgetPart) -> None:
    with pytest.raises(InputError):
        budget.check(part)


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (0.0, "0.00"),
        (5, "5.00"),
        (1234.567, "1234.57"),
        (0.5, "0.50"),
        (0.001, "0.001"),
        (0.00098765, "0.0009877"),
        (1e-12, "0.000000000001"),
        (0.99999, "1.00"),
    ],
)
def test_a_small_sum_is_told_from_nothing(usd: float, shown: str) -> None:
    assert budget.shown_usd(usd) == shown
