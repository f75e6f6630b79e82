"""Which day it is for the budgets of a day: the local date, but none is given twice. Pure.

A day begins at local midnight, whatever its length (daylight saving). Set forward, the clock begins another day at
once. Set back over a midnight, or moved to a time zone where it is still yesterday, it changes nothing, until its
date comes to be a later one again, or for 24 hours of the clock that nobody sets: a clock that was wrong for a moment
must not keep budgets spent for a year.
"""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass
from typing import Final

LONGEST_S: Final = 86400.0


@dataclass(slots=True)
class Day:
    """`number` is that of datetime.date.toordinal. `began_boot_s` is by CLOCK_BOOTTIME: after a reboot it is taken
    for the boot itself, which is later and thus no day too early."""

    number: int = 0
    began_boot_s: float = 0.0
    ends_s: float = 0.0
    """The next local midnight, in seconds since the epoch."""

    def look(self, now_s: float, boot_s: float) -> bool:
        """Whether another day has begun."""
        if boot_s < self.began_boot_s:
            self.began_boot_s = 0.0
        local = time.localtime(now_s)
        date = datetime.date(local.tm_year, local.tm_mon, local.tm_mday)
        self.ends_s = midnight_s(date.toordinal() + 1)
        today = date.toordinal()
        if today == self.number or (today < self.number and boot_s - self.began_boot_s < LONGEST_S):
            return False
        self.number, self.began_boot_s = today, boot_s
        return True

    @property
    def date(self) -> str:
        return datetime.date.fromordinal(self.number).isoformat()


def midnight_s(number: int) -> float:
    """When that day begins here, in seconds since the epoch."""
    date = datetime.date.fromordinal(number)
    return time.mktime((date.year, date.month, date.day, 0, 0, 0, 0, 0, -1))
