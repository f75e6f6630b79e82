"""Restart policy: whether a process that ended is started again, and after what wait. Pure.

The first restart comes at once; each further one within STABLE_S waits twice as long. More than LIMIT restarts
within WINDOW_S are a crash loop. A run of STABLE_S or more starts the count afresh.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.model.exit import Exit

FIRST_DELAY_S: Final = 0.1
LONGEST_DELAY_S: Final = 30.0
STABLE_S: Final = 60.0
WINDOW_S: Final = 60.0
LIMIT: Final = 8


class Stay(msgspec.Struct, frozen=True):
    """It has ended for good."""


class Again(msgspec.Struct, frozen=True):
    delay_s: float


class Loop(msgspec.Struct, frozen=True):
    """Restarted `count` times within `within_s`: no more."""

    count: int
    within_s: float


Verdict = Stay | Again | Loop


def decide(
    policy: str, end: Exit, ran_s: float | None, restarts_s: Sequence[float], now_s: float, limit: int | None = LIMIT
) -> Verdict:
    """What follows an exit.

    `ran_s`: how long it ran (None: unknown, taken as short). `restarts_s`: times of its earlier restarts, same clock
    as `now_s`. An unknown status counts as a failure. `limit` None: never a crash loop, only ever longer waits.
    """
    match policy:
        case "always":
            wanted = True
        case "on-failure":
            wanted = end.code != 0
        case _:
            wanted = False
    if not wanted:
        return Stay()
    if ran_s is not None and ran_s >= STABLE_S:
        return Again(0.0)
    recent = [at for at in restarts_s if now_s - at < WINDOW_S]
    if limit is not None and len(recent) >= limit:
        return Loop(len(recent), WINDOW_S)
    if not recent:
        return Again(0.0)
    return Again(min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** (len(recent) - 1)))
