"""Whether, and after how long, a request to the gateway is sent once more."""

from __future__ import annotations

import email.utils
import time
from typing import TYPE_CHECKING

import pytest

from aish.errors import AishError, BudgetError
from aish.plugins.builtin.transport import AGAIN_MOST, FIRST_S, LONGEST_S, pause_s

from .whole import call

if TYPE_CHECKING:
    from .conftest import Bench

NOW_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("status", "headers", "least_s", "most_s"),
    [
        (429, {"retry-after": "7"}, 7, 7 * 1.2 + 1),
        (529, {"retry-after": "0.5"}, 0.5, 1.6),
        (503, {"retry-after": email.utils.formatdate(NOW_S + 9, usegmt=True)}, 9, 9 * 1.2 + 1),
        (429, {"retry-after-ms": "1500", "retry-after": "2"}, 1.5, 1.5 * 1.2 + 1),
        (429, {"retry-after": email.utils.formatdate(NOW_S - 9, usegmt=True)}, FIRST_S / 2, FIRST_S),
        (429, {"retry-after": "-5"}, FIRST_S / 2, FIRST_S),
        (429, {"retry-after": "-inf"}, FIRST_S / 2, FIRST_S),
        (429, {"retry-after": "inf"}, FIRST_S / 2, FIRST_S),
        (429, {}, FIRST_S / 2, FIRST_S),
        (529, {"retry-after": "soon"}, FIRST_S / 2, FIRST_S),
        (529, {"retry-after": "nan"}, FIRST_S / 2, FIRST_S),
    ],
)
def test_a_server_that_is_busy_is_asked_again(
    status: int, headers: dict[str, str], least_s: float, most_s: float
) -> None:
    found = [pause_s(status, headers, 0, NOW_S) for _ in range(50)]
    assert all(each is not None and least_s <= each <= most_s for each in found), found
    assert len(set(found)) > 1, "many that were refused together come together again"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {"retry-after": "7"}),
        (402, {}),
        (400, {"retry-after": "7"}),
        (500, {"retry-after": "7"}),
        (503, {}),
        (429, {"retry-after": f"{LONGEST_S + 1}"}),
        (429, {"retry-after": "7", "x-should-retry": "false"}),
    ],
)
def test_what_waiting_does_not_mend_is_told_at_once(status: int, headers: dict[str, str]) -> None:
    assert pause_s(status, headers, 0, NOW_S) is None


def test_pauses_grow_where_nobody_says_how_long() -> None:
    last = pause_s(429, {}, AGAIN_MOST - 1, NOW_S)
    assert last is not None
    assert last >= FIRST_S * 2 ** (AGAIN_MOST - 2)


def test_a_word_that_means_later_does_not_end_a_turn(bench: Bench) -> None:
    """One 503 in the middle of it, and all that was done was for nothing: nobody asked again, the gateway neither."""
    began_s = time.monotonic()
    step = call("shell", command="echo x >> made")
    done = bench.run(f"{step} then say 2 fault status-503 first 1", tools=("shell",))
    assert done.answer == "w0 w1"
    assert (bench.cwd / "made").read_text() == "x\n"
    assert time.monotonic() - began_s >= 3, "not before the server wanted it"
    assert sum("to be sent again: the server rests" in (doing or "") for doing in done.doing) == 1, "it looked idle"
    assert done.doing[-1] is None


def test_a_window_that_is_full_is_asked_for_once_more_at_once(bench: Bench) -> None:
    """Where a rule is for it, the gateway holds that request until there is room; else nobody waits for hours."""
    assert bench.run("say 2 fault status-429-hours first 1").answer == "w0 w1"
    assert len(bench.bodies()) == 2
    with pytest.raises(AishError, match="usage limit reached"):
        bench.run("fault status-429-hours")
    assert len(bench.bodies()) == 4


def test_money_that_is_used_up_is_told_at_once(bench: Bench) -> None:
    """It was asked four times more, for half a minute, and each counted in a budget of requests."""
    with pytest.raises(BudgetError, match="You exceeded your current quota"):
        bench.run("fault status-429-quota")
    assert len(bench.bodies()) == 1
    assert bench.desk.lines == []


def test_an_error_is_told_at_once(bench: Bench) -> None:
    with pytest.raises(AishError):
        bench.run("fault status-500")
    assert len(bench.bodies()) == 1
