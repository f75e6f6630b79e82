"""A breaker lets nothing go while its server rests, one request to try, and everything once that was answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.supervisor.gateway.breaker import (
    CLOSED,
    LEAST_ROW_S,
    LONGEST_REST_S,
    LONGEST_TOLD_S,
    MOST_FAILURES,
    REST_S,
    Answered,
    Asked,
    Began,
    Breaker,
    Dropped,
    Event,
    Failed,
    Revived,
    step,
)

FAILED = Failed("its server answered 500", 500)


def failing(times: int, now_s: float = 0.0, breaker: Breaker = CLOSED) -> Breaker:
    """So often in a row, the last time `now_s`."""
    for number in range(times):
        breaker = step(breaker, FAILED, number, now_s - (LEAST_ROW_S if number == 0 else 0.0))
    return breaker


def test_only_failures_in_a_row_open_it() -> None:
    breaker = failing(MOST_FAILURES - 1)
    assert breaker.state == "closed"
    assert failing(MOST_FAILURES - 1, breaker=step(breaker, Answered(), 9, 0.0)).state == "closed"
    opened = step(breaker, FAILED, 9, 10.0)
    assert (opened.state, opened.until_s, opened.status) == ("open", 10.0 + REST_S, 500)


def test_all_that_fail_in_one_moment_do_not() -> None:
    """A server that is started anew closes what is under way, and is there again."""
    breaker = CLOSED
    for number in range(50):
        breaker = step(breaker, FAILED, number, 5.0 + number / 100)
    assert breaker.state == "closed"
    assert step(breaker, FAILED, 50, 5.0 + LEAST_ROW_S).state == "open"


@pytest.mark.parametrize(("told_s", "rest_s"), [(12.0, 12.0), (1e9, LONGEST_TOLD_S)])
def test_a_server_that_says_how_long_it_rests_is_believed_within_bounds(told_s: float, rest_s: float) -> None:
    opened = step(CLOSED, Failed("overloaded", 529, told_s), 1, 0.0)
    assert (opened.state, opened.until_s) == ("open", rest_s)
    assert not opened.admits(rest_s - 0.001)
    assert opened.admits(rest_s)


def test_one_request_tries_and_its_first_word_lets_all_go() -> None:
    opened = step(CLOSED, Failed("overloaded", 529, 5.0), 1, 0.0)
    tries = step(opened, Asked(), 2, 5.0)
    assert (tries.state, tries.trial) == ("half-open", 2)
    assert not tries.admits(1e9)
    assert step(tries, Asked(), 3, 6.0) is tries
    assert step(tries, Answered(), 1, 6.0) is tries, "of one that went before it opened"
    assert step(tries, Began(), 2, 6.0).admits(6.0)


def test_one_that_tries_and_fails_makes_the_next_rest_longer() -> None:
    breaker, now_s = failing(MOST_FAILURES), 0.0
    rests = []
    for number in range(100, 110):
        rests.append(breaker.until_s - now_s)
        now_s = breaker.until_s
        breaker = step(step(breaker, Asked(), number, now_s), FAILED, number, now_s)
    assert rests[:4] == [REST_S, 2 * REST_S, 4 * REST_S, 8 * REST_S]
    assert rests[-1] == LONGEST_REST_S


def test_one_that_tries_and_goes_away_leaves_it_to_the_next() -> None:
    opened = step(CLOSED, Failed("overloaded", 529, 5.0), 1, 0.0)
    tries = step(opened, Asked(), 2, 5.0)
    assert step(tries, Dropped(), 3, 5.0) is tries
    left = step(tries, Dropped(), 2, 5.0)
    assert left.admits(5.0)
    assert step(left, Asked(), 3, 5.0).trial == 3


def test_a_stream_that_began_and_broke_does_not_make_the_next_rest_shorter() -> None:
    opened = failing(MOST_FAILURES)
    began = step(step(opened, Asked(), 9, 1.0), Began(), 9, 1.0)
    again = failing(MOST_FAILURES, 2.0, began)
    assert again.until_s == 2.0 + 2 * REST_S


NUMBERS = st.integers(0, 5)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.sampled_from([Asked(), Began(), Answered(), Dropped(), Revived()]),
    st.builds(Failed, st.just("it failed"), st.just(500), st.none() | st.floats(0.001, 1000.0)),
)


@given(st.lists(st.tuples(EVENTS, NUMBERS, st.floats(0.0, 50.0)), max_size=60))
def test_whatever_happens_it_lets_go_only_what_it_may(events: list[tuple[Event, int, float]]) -> None:
    """It always opens again some day, and never lets a second request try beside the first."""
    breaker, now_s = CLOSED, 0.0
    trying: int | None = None
    for event, number, later_s in events:
        now_s += later_s
        before = breaker
        breaker = step(before, event, number, now_s)
        assert (breaker.trial is not None) == (breaker.state == "half-open")
        if isinstance(event, Asked) and breaker.state == "half-open" and before.state == "open":
            assert trying is None
            assert now_s >= before.until_s
        trying = breaker.trial
        if before.state != "open" and breaker.state == "open" and isinstance(event, Failed):
            assert 0 < breaker.until_s - now_s <= max(LONGEST_REST_S, LONGEST_TOLD_S) + 1e-6
        if before.state == "open" and breaker.state == "open":
            assert breaker.until_s >= before.until_s, "never shorter than it was told"
        if before.state == "half-open" and breaker.state != "half-open":
            assert number == before.trial or isinstance(event, Revived)
        assert breaker.failures <= MOST_FAILURES
    assert breaker.state == "half-open" or breaker.admits(breaker.until_s)
    if breaker.trial is not None:
        assert step(breaker, Answered(), breaker.trial, now_s) == CLOSED
