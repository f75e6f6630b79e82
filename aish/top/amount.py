"""Figures as they stand in a frame: short, with their unit, '-' where unknown."""

from __future__ import annotations

import math
from typing import Final

from aish.model.size import format_bytes, format_count

UNKNOWN: Final = "-"
_UNITS: Final = (("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10))


def finite(value: float | None) -> float | None:
    """A figure that is none (NaN, infinite) is unknown."""
    return value if value is not None and math.isfinite(value) else None


def whole(value: float | None, unit: str = "") -> str:
    value = finite(value)
    return UNKNOWN if value is None else f"{value:.0f}{unit}"


def size(value: int | None) -> str:
    return UNKNOWN if value is None or value < 0 else format_bytes(value)


def count(value: float | None) -> str:
    value = finite(value)
    return UNKNOWN if value is None or value < 0 else format_count(round(value))


def of(used: int | None, total: int | None) -> str:
    """Two sizes in the unit of the larger one: 61/80G, 0.9/4.0G, -/80G."""
    if not total or total < 0:
        return size(used)
    unit, factor = next(((unit, factor) for unit, factor in _UNITS if total >= factor), ("", 1))
    if used is None:
        return f"{UNKNOWN}/{_scaled(total, factor)}{unit}"
    return f"{_scaled(used, factor)}/{_scaled(total, factor)}{unit}"


def _scaled(value: int, factor: int) -> str:
    scaled = value / factor
    return f"{scaled:.1f}" if 0 < scaled < 9.95 and factor > 1 else f"{scaled:.0f}"


def age(seconds: float | None) -> str:
    """At most five characters: 42s, 3:07, 2h05, 4d."""
    seconds = finite(seconds)
    if seconds is None:
        return UNKNOWN
    whole_s = max(0, int(seconds))
    if whole_s < 60:
        return f"{whole_s}s"
    if whole_s < 3600:
        return f"{whole_s // 60}:{whole_s % 60:02}"
    if whole_s < 86400:
        return f"{whole_s // 3600}h{whole_s % 3600 // 60:02}"
    return f"{whole_s // 86400}d"


def clock(time_s: float, utc_offset_s: int) -> str:
    """Time of day of seconds since the epoch; hours, minutes, seconds."""
    second = int(time_s + utc_offset_s) % 86400
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
