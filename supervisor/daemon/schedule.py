"""When a schedule is due. Pure.

Times are those of cron: a minute that a change of the clock skips or repeats is treated as Debian's cron does
(cronsim's documentation). No time is run twice, whatever happens to the clock.
"""

from __future__ import annotations

import datetime
import zoneinfo
from typing import TYPE_CHECKING, Final

from cronsim import CronSim, CronSimError

from aish.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.wire.spec import SchedulePart

LATE_S: Final = 60.0
"""One that is started within this time of its own is not late: a busy machine, a daemon that was replaced."""
SET_BACK_S: Final = 3 * 3600.0
"""A clock that was set back by more was wrong before: what has run by it counts no more."""
MOST_CHARS: Final = 200
_WORDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
HINT: Final = "five fields as in crontab(5): `0 3 * * *` is every day at three; or @hourly, @daily, @weekly, @monthly"
"""A sixth one in front of them is of seconds."""


def flaws(part: SchedulePart) -> Iterator[InputError]:
    """What is wrong with it."""
    try:
        zone(part)
    except InputError as error:
        yield error
    cron = _WORDS.get(part.cron.strip(), part.cron)
    if len(cron) > MOST_CHARS or len(cron.split()) not in (5, 6):
        yield InputError(f"not a schedule: {part.cron[:60]!r}", field="schedule.cron", hint=HINT)
        return
    try:
        next(CronSim(cron, datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)))
    except (CronSimError, AssertionError, ValueError) as error:
        yield InputError(f"not a schedule: {part.cron!r} ({error})", field="schedule.cron", hint=HINT)
    except StopIteration:
        yield InputError(f"there is no such time: {part.cron!r}", field="schedule.cron", hint=HINT)


def zone(part: SchedulePart) -> datetime.tzinfo | None:
    """None: the machine's own. Raises InputError."""
    if part.timezone is None:
        return None
    try:
        return zoneinfo.ZoneInfo(part.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            f"no time zone is called {part.timezone[:60]!r}", field="schedule.timezone", hint="Europe/Berlin, UTC"
        ) from error


def after(part: SchedulePart, at_s: float) -> float | None:
    """The first time after `at_s`, seconds since the epoch; None: there is none."""
    found = zone(part)
    moment = datetime.datetime.fromtimestamp(at_s, datetime.UTC).astimezone(found)
    try:
        return next(CronSim(_WORDS.get(part.cron.strip(), part.cron), moment)).timestamp()
    except StopIteration:
        return None


def following(part: SchedulePart, now_s: float, last_s: float | None) -> float | None:
    """The time for which it is to be started next: above `now_s` unless one was missed and is made up for.

    `last_s`: the latest time that is done with; None: it is new, and what was before it does not matter.
    """
    if last_s is None or last_s - now_s > SET_BACK_S:
        return after(part, now_s)
    first = after(part, last_s)
    if first is None or first > now_s or part.missed == "once":
        return first
    return after(part, now_s)


def late(part: SchedulePart, due_s: float, now_s: float) -> bool:
    """Whether it is too late for `due_s`, and nobody wants that made up for."""
    return part.missed != "once" and now_s - due_s > LATE_S
