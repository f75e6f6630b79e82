"""Restart policy: whether a process that ended is started again, and after what wait. Pure.

The first restart comes at once; each further one within the stable time waits twice as long, by a fifth more or less,
so that what failed together does not start together. Too many within the window are a crash loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from aish.wire.spec import RestartPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.model.exit import Exit

DEFAULT: Final = RestartPart()
KEPT: Final = 1000
"""At most so many times of restarts are kept."""
JITTER: Final = 0.2


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
    policy: str,
    end: Exit,
    ran_s: float | None,
    restarts_s: Sequence[float],
    now_s: float,
    how: RestartPart = DEFAULT,
    chance: float = 0.5,
) -> Verdict:
    """What follows an exit.

    `ran_s`: how long it ran (None: unknown, taken as short). `restarts_s`: times of its earlier restarts, same clock
    as `now_s`. An unknown status counts as a failure. `chance` is a random number from 0 to 1.
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
    if ran_s is not None and ran_s >= how.stable_s:
        return Again(0.0)
    recent = [at for at in restarts_s if 0 <= now_s - at < how.window_s]
    if how.most is not None and len(recent) >= how.most:
        return Loop(len(recent), how.window_s)
    if not recent:
        return Again(0.0)
    delay_s = min(how.most_s, how.delay_s * 2.0 ** min(len(recent) - 1, 60))
    return Again(delay_s * (1.0 + JITTER * (2.0 * chance - 1.0)))
