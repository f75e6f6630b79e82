"""How a busy card looks: utilisation, power and temperature as plausible functions of load and time. Pure.

The same card, load and second give the same figures, so that recorded views can be compared.
"""

from __future__ import annotations

import math
import zlib
from typing import Final

IDLE_POWER: Final = 0.08  # of the power limit
IDLE_C: Final = 34.0
FULL_C: Final = 78.0


def shares_percent(uuid: str, busy_percent: dict[int, float], time_s: float) -> dict[int, float]:
    """What each process shows at this second of what it keeps busy: it swings by up to an eighth.

    Together never above 100: processes that ask for more than the card share it in proportion.
    """
    shares = {
        pid: busy * (1 + 0.125 * _wave(f"{uuid}/{pid}", time_s, 7.0)) if busy > 0 else 0.0
        for pid, busy in busy_percent.items()
    }
    together = sum(shares.values())
    if together <= 100:
        return shares
    return {pid: share * 100 / together for pid, share in shares.items()}


def power_w(uuid: str, limit_w: float, utilisation: float, time_s: float) -> float:
    swing = 0.01 * _wave(uuid, time_s, 3.0)
    return round(limit_w * min(IDLE_POWER + (0.95 - IDLE_POWER) * utilisation / 100 + swing, 1.0), 1)


def temperature_c(uuid: str, busy_percent: float, time_s: float) -> float:
    """Follows the declared load, not its swings: a heat sink does not jump."""
    load = min(busy_percent, 100.0) / 100
    return round(IDLE_C + (FULL_C - IDLE_C) * load + 1.5 * _wave(uuid, time_s, 41.0), 0)


def _wave(seed: str, time_s: float, period_s: float) -> float:
    """-1 to 1, smooth in whole seconds, another phase for every seed."""
    phase = zlib.crc32(seed.encode("utf-8", "surrogateescape")) % 1000 / 1000
    return math.sin(2 * math.pi * (math.floor(time_s) / period_s + phase))
