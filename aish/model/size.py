"""Sizes and counts as people write them: 8G, 512M, 200k tokens."""

from __future__ import annotations

from aish.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

_BINARY: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DECIMAL: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
BELOW: Final = 1 << 60
"""Every size and count is smaller: sums of a few of them fit the 64 bits of the wire, the journal and the gateway."""


def parse_bytes(text: str) -> int:
    """Bytes in `text`: a number with an optional K, M, G or T (powers of 1024; iB and B may follow).

    Raises UsageError, with what was expected.
    """
    lower = text.strip().lower()
    for tail in ("ib", "b"):
        if lower.endswith(tail) and len(lower) > len(tail):
            lower = lower[: -len(tail)]
            break
    return _scaled(text, lower, _BINARY, "a size such as 8G, 512M or 1073741824")


def parse_count(text: str) -> int:
    """A count in `text`: a number with an optional k, M or G (powers of 1000), whole then. Raises UsageError."""
    return _scaled(text, text.strip().lower(), _DECIMAL, "a count such as 200k, 1.5M or 5000", whole_only=True)


def _scaled(text: str, lower: str, units: dict[str, int], expected: str, *, whole_only: bool = False) -> int:
    digits = lower.rstrip("kmgtb")
    unit = lower[len(digits) :]
    factor = units.get(unit)
    whole, point, fraction = digits.partition(".")
    plain = whole.isascii() and (whole + fraction).isdecimal() and (bool(fraction) or not point)
    if factor is None or not plain or len(digits) > 20:
        raise UsageError(f"not a size: {text!r}", hint=f"write {expected}")
    scale: int = 10 ** len(fraction)
    value, rest = divmod(int(whole + fraction) * factor, scale)
    if whole_only and rest:
        raise UsageError(f"not a whole number: {text!r}", hint=f"write {expected}")
    return _bounded(value, text)


def changed(before: int | None, text: str, parse: Callable[[str], int], what: str) -> int | None:
    """A limit after the change that `text` asks for: "200k" sets it, "+50k" raises it, "none" lifts it.

    `what` names the limit as `aish limit` does. Raises UsageError.
    """
    if text == "none":
        return None
    if not text.startswith("+"):
        return parse(text)
    if before is None:
        raise UsageError(f"there is no limit of {what} to raise", hint=f"set one: {what}={text[1:]}")
    return _bounded(before + parse(text[1:]), text)


def _bounded(value: int, text: str) -> int:
    if value >= BELOW:
        raise UsageError(f"too large: {text!r}", hint=f"it must be below {BELOW:,}")
    return value


def format_bytes(size_bytes: int | None) -> str:
    """At most five characters for a table: 512, 4.0K, 1.5G; '-' where unknown."""
    return _format(size_bytes, 1024, "KMGTP")


def format_count(count: int | None) -> str:
    """At most five characters for a table: 950, 1.2k, 34M; '-' where unknown."""
    return _format(count, 1000, "kMGTP")


def _format(value: int | None, base: int, units: str) -> str:
    if value is None:
        return "-"
    if value < base:
        return str(value)
    scaled = float(value)
    for unit in units:
        scaled /= base
        if scaled < 9.95:
            return f"{scaled:.1f}{unit}"
        if scaled < base - 0.5 or unit == units[-1]:
            return f"{scaled:.0f}{unit}"
    raise AssertionError("the last unit always returns")
