"""Headers by which vendors tell of usage windows, read defensively. Pure.

    anthropic-ratelimit-unified-5h-utilization: 0.42      also -reset, -status; 7d, and those of some models: 7d_opus
    anthropic-ratelimit-unified-status: rejected          with -representative-claim: five_hour, and -reset
    x-codex-primary-used-percent: 42                      also -window-minutes, -reset-at, -reset-after-seconds

They are documented by no vendor; this is what public clients read (anomalyco/opencode #49653, lidge-jun/opencodex
#3809, openai/codex's codex-rs). Which of `primary` and `secondary` is which window is told by its length alone: plans
without a short one have the week as the primary.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from aish.supervisor.gateway.windows.ledger import REJECTED, Sighting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREFIXES: Final = ("anthropic-ratelimit-unified-", "x-codex-")
_UNIFIED: Final = re.compile(r"anthropic-ratelimit-unified-(?:([a-z0-9_]{1,24})-)?(utilization|reset|status)")
_CODEX: Final = re.compile(
    r"x-codex-(?:([a-z0-9_-]{1,24})-)?(primary|secondary)-(used-percent|window-minutes|reset-at|reset-after-seconds)"
)
_CLAIM: Final = "anthropic-ratelimit-unified-representative-claim"
_NO_WINDOWS: Final = ("overage", "fallback")
"""What is paid beside the subscription, and which other model may be had."""
_CLAIMS: Final = {"five_hour": "5h", "seven_day": "7d"}
_LENGTH: Final = re.compile(r"([0-9]{1,3})([mhdw])(?:_.*)?")
_UNITS_S: Final = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MOST_USED: Final = 10.0
_MOST_NAMES: Final = 64
"""Headers of the prefixes that are looked at; a vendor sends less than twenty."""
_MILLISECONDS: Final = 1e11
_LONGEST_S: Final = 100 * 86400.0
_AGO_S: Final = 86400.0


def sightings(headers: Mapping[str, str], now_s: float) -> list[Sighting]:
    """What the headers of an answer say; [] for nearly all answers."""
    names = [name for name in headers if name.lower().startswith(PREFIXES)]
    if not names:
        return []
    found = {name.lower(): headers[name] for name in names[:_MOST_NAMES]}
    return [*_unified(found, now_s), *_codex(found, now_s)]


def _unified(headers: Mapping[str, str], now_s: float) -> Iterable[Sighting]:
    fields: dict[str, dict[str, str]] = {}
    for name, value in headers.items():
        match = _UNIFIED.fullmatch(name)
        if match is not None and match[1] not in _NO_WINDOWS:
            fields.setdefault(match[1] or "", {})[match[2]] = value
    whole = fields.pop("", {})
    if whole.get("status") == REJECTED and not any(told.get("status") == REJECTED for told in fields.values()):
        claim = _claimed(headers.get(_CLAIM, ""))
        if claim is not None:
            told = fields.setdefault(claim, {})
            told["status"] = REJECTED
            told.setdefault("reset", whole.get("reset", ""))
    for window, told in fields.items():
        used, resets_s = fraction(told.get("utilization")), moment_s(told.get("reset"), now_s)
        if used is not None or resets_s is not None:
            yield Sighting(window, used, resets_s, _word(told.get("status")), length_s(window))


def _claimed(claim: str) -> str | None:
    """The window that a refusal is for: seven_day_opus is that of one model."""
    for word, window in _CLAIMS.items():
        if claim == word:
            return window
        if claim.startswith(f"{word}_") and re.fullmatch("[a-z0-9_]{1,20}", claim[len(word) + 1 :]):
            return window + claim[len(word) :]
    return None


def _codex(headers: Mapping[str, str], now_s: float) -> Iterable[Sighting]:
    fields: dict[tuple[str, str], dict[str, str]] = {}
    for name, value in headers.items():
        match = _CODEX.fullmatch(name)
        if match is not None:
            fields.setdefault((match[1] or "", match[2]), {})[match[3]] = value
    for (family, slot), told in fields.items():
        after = told.get("reset-after-seconds")
        sighting = by_slot(
            slot,
            family,
            percent=told.get("used-percent"),
            minutes=told.get("window-minutes"),
            resets_s=told.get("reset-at") if after is None else None,
            after_s=after,
            now_s=now_s,
        )
        if sighting is not None:
            yield sighting


def by_slot(
    slot: str,
    family: str,
    *,
    percent: object,
    minutes: object,
    resets_s: object,
    after_s: object,
    now_s: float,
) -> Sighting | None:
    """One of Codex's two windows, in a header or in a log. None where nothing is said, or zeros alone."""
    used, length = fraction(percent, 100.0), number(minutes)
    if used is None or (not used and length == 0):
        return None
    span_s = length * 60.0 if length is not None and 0 < length * 60.0 <= _LONGEST_S else None
    ends_s = moment_s(resets_s, now_s)
    after = number(after_s)
    if ends_s is None and after is not None and 0 <= after <= _LONGEST_S:
        ends_s = now_s + after
    name = slot if span_s is None else span_name(span_s)
    return Sighting(f"{name}_{family}" if family else name, used, ends_s, None, span_s)


def span_name(seconds: float) -> str:
    """5h, 7d; 90m where it is no whole hour."""
    for unit in ("d", "h"):
        count, rest = divmod(seconds, _UNITS_S[unit])
        if not rest and count:
            return f"{count:.0f}{unit}"
    return f"{seconds / 60:.0f}m"


def length_s(window: str) -> float | None:
    """How long a window of that name is: 5h, 7d_opus."""
    match = _LENGTH.fullmatch("7d" if window == "weekly" else window)
    return float(int(match[1]) * _UNITS_S[match[2]]) if match is not None else None


def fraction(told: object, whole: float = 1.0) -> float | None:
    """The used part; None for what is no part of anything."""
    value = number(told)
    return None if value is None or value < 0 else min(value / whole, _MOST_USED)


def moment_s(told: object, now_s: float) -> float | None:
    """Seconds since the epoch, of seconds, of milliseconds, or of ISO 8601. None for a time that cannot be meant."""
    value = number(told)
    if value is None and isinstance(told, str) and len(told) <= 40:
        try:
            read = datetime.fromisoformat(told.strip())
            value = (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    if value is None:
        return None
    value = value / 1000.0 if value > _MILLISECONDS else value
    return value if now_s - _AGO_S < value < now_s + _LONGEST_S else None


def number(told: object) -> float | None:
    """Finite, or None. Text of a header, or a value of JSON."""
    if (
        isinstance(told, bool)
        or not isinstance(told, (str, int, float))
        or (isinstance(told, str) and len(told) > 40)
    ):
        return None
    try:
        value = float(told)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _word(told: str | None) -> str | None:
    return told if told is not None and re.fullmatch("[a-z_]{1,32}", told) else None
