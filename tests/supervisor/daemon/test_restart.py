"""Restart policy: who is started again, when, and when no more."""

from __future__ import annotations

import pytest

from aish.model.exit import Exit
from aish.supervisor.daemon import restart
from aish.supervisor.daemon.restart import Again, Loop, Stay
from aish.wire.spec import RestartPart

OK, BAD, KILLED, LOST = Exit(0, None), Exit(1, None), Exit(None, 9), Exit(None, None)


@pytest.mark.parametrize(
    ("policy", "end", "again"),
    [
        ("never", BAD, False),
        ("never", LOST, False),
        ("on-failure", OK, False),
        ("on-failure", BAD, True),
        ("on-failure", KILLED, True),
        ("on-failure", LOST, True),
        ("always", OK, True),
        ("always", KILLED, True),
        ("of another version", BAD, False),
    ],
)
def test_policy(policy: str, end: Exit, again: bool) -> None:
    verdict = restart.decide(policy, end, 1.0, [], 1000.0)
    assert verdict == (Again(0.0) if again else Stay())


def test_waits_double_and_then_it_is_a_crash_loop() -> None:
    """Without a limit a program that cannot start would be started for ever."""
    now, restarts, waits = 1000.0, [], []
    for _ in range(20):
        verdict = restart.decide("always", BAD, 0.0, restarts, now)
        if isinstance(verdict, Loop):
            break
        assert isinstance(verdict, Again)
        waits.append(verdict.delay_s)
        now += verdict.delay_s
        restarts.append(now)
    assert waits == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]
    assert verdict == Loop(8, 60.0)


@pytest.mark.parametrize(
    ("how", "delays"),
    [
        (RestartPart(delay_s=600.0), [600.0, 600.0]),
        (RestartPart(delay_s=1.0, longest_s=2.0), [1.0, 2.0, 2.0]),
        (RestartPart(longest_s=0.01), [0.01, 0.01]),
    ],
)
def test_a_first_delay_above_the_usual_longest_is_the_longest(how: RestartPart, delays: list[float]) -> None:
    """Fault: who asked for ten minutes between restarts got thirty seconds, and no word about it."""
    found = [restart.decide("always", BAD, 0.0, [999.0] * count, 1000.0, how) for count in range(1, len(delays) + 1)]
    assert found == [Again(delay_s) for delay_s in delays]


def test_a_stable_run_starts_the_count_afresh() -> None:
    restarts = [1000.0 + n for n in range(8)]
    assert isinstance(restart.decide("always", BAD, 1.0, restarts, 1010.0), Loop)
    assert restart.decide("always", BAD, 60.0, restarts, 1010.0) == Again(0.0)


def test_without_a_limit_the_wait_is_bounded() -> None:
    restarts = [1000.0] * 50
    assert restart.decide("always", BAD, None, restarts, 1001.0, RestartPart(most=None)) == Again(30.0)


def test_the_wait_varies_by_a_fifth_so_that_what_failed_together_does_not_start_together() -> None:
    restarts = [1000.0, 1000.1]
    waits = [restart.decide("always", BAD, 0.1, restarts, 1000.2, chance=chance) for chance in (0.0, 0.5, 1.0)]
    assert waits == [Again(pytest.approx(0.16)), Again(0.2), Again(pytest.approx(0.24))]


def test_a_clock_that_was_set_back_is_no_crash_loop() -> None:
    """Restarts of another boot, or of a wall clock, would lie in the future."""
    assert restart.decide("always", BAD, 0.1, [5000.0] * 9, 10.0) == Again(0.0)
