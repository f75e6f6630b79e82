"""Restart policy: who is started again, when, and when no more."""

from __future__ import annotations

import pytest

from aish.model.exit import Exit
from aish.supervisor.daemon import restart
from aish.supervisor.daemon.restart import Again, Loop, Stay

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
    assert verdict == Loop(8, restart.WINDOW_S)


def test_a_stable_run_starts_the_count_afresh() -> None:
    restarts = [1000.0 + n for n in range(8)]
    assert isinstance(restart.decide("always", BAD, 1.0, restarts, 1010.0), Loop)
    assert restart.decide("always", BAD, restart.STABLE_S, restarts, 1010.0) == Again(0.0)


def test_without_a_limit_the_wait_is_bounded() -> None:
    restarts = [1000.0] * 50
    assert restart.decide("always", BAD, None, restarts, 1001.0, limit=None) == Again(restart.LONGEST_DELAY_S)
