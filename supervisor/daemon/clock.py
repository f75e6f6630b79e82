"""Time that no clock change touches: seconds since boot, suspended time included (CLOCK_BOOTTIME, clock_gettime(2)).

What is decided by time (restarts, queues) is decided by this one; wall time is only shown. It is the clock of
/proc/PID/stat's start times, too.
"""

from __future__ import annotations

import os
import time
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def boot_s() -> float:
    """Seconds since this boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wall_s(at_boot_s: float) -> float:
    """The wall time (seconds since the epoch) of a moment of this boot, as the wall clock stands now."""
    return time.time() - (boot_s() - at_boot_s)
