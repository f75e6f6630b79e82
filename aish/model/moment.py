"""Durations and moments as people write them: 90s, 5m, 2h ago, 14:30, 2026-07-01T09:00."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from aish.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
LONGEST_S: Final = 100 * 365 * 86400
_EXPECTED: Final = "write 10s, 5m, 2h or 1d (ago), a time of day such as 14:30, or a date such as 2026-07-01T09:00"


def parse_duration_s(text: str) -> float:
    """Seconds in `text`: a number with s, m, h, d or w. Raises UsageError."""
    seconds = _duration_s(text.strip())
    if seconds is None:
        raise UsageError(f"not a duration: {text!r}", hint="write a number and its unit: 90s, 5m, 2h, 7d")
    return seconds


def written(seconds: float) -> str:
    """As it can be parsed again, in the largest unit of which it is a whole number."""
    for unit in ("d", "h", "m"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:.0f}{unit}"
    return f"{seconds:.12g}s"


def parse_moment_s(text: str, now_s: float) -> float:
    """Seconds since the epoch of what `text` says: how long ago, the last time it was that time of day, or a date in
    ISO 8601 (local where it names no zone). Raises UsageError."""
    word = text.strip()
    ago_s = _duration_s(word.removesuffix("ago").strip())
    if ago_s is not None:
        return now_s - ago_s
    try:
        if ":" in word and len(word) <= len("23:59:59"):
            return _time_of_day_s(word, now_s)
        return datetime.fromisoformat(word).astimezone().timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"not a time: {text!r}", hint=_EXPECTED) from error


def iso(time_ns: int) -> str:
    """A moment as ISO 8601 has it, local, to the millisecond."""
    return datetime.fromtimestamp(shown_ms(time_ns) / 1000).astimezone().isoformat(timespec="milliseconds")


def shown_ms(time_ns: int) -> int:
    """Always rounded up: nothing is said to be earlier than it was."""
    return -(-time_ns // 1_000_000)


def _duration_s(word: str) -> float | None:
    factor = _UNITS.get(word[-1:])
    number = word[:-1].strip()
    if factor is None or not number.isascii() or not number.replace(".", "", 1).isdecimal():
        return None
    seconds = float(number) * factor
    return seconds if math.isfinite(seconds) and seconds <= LONGEST_S else None


def _time_of_day_s(word: str, now_s: float) -> float:
    """Raises ValueError."""
    now = datetime.fromtimestamp(now_s).astimezone()
    moment = datetime.fromisoformat(f"{now:%Y-%m-%d}T{word.zfill(8 if word.count(':') == 2 else 5)}").astimezone()
    if moment.timestamp() > now_s:
        moment = (moment.replace(tzinfo=None) - timedelta(days=1)).astimezone()
    return moment.timestamp()
