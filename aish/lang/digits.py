"""Digits as numbers, however many there are. Pure."""

from __future__ import annotations


def saturated(digits: str, base: int = 10) -> int:
    """The number that digits of base 8, 10 or 16 stand for; of one above 64 bits only that it is above.

    Text that is not ours may have millions of digits, for which Python takes too long, or which it refuses.
    """
    return int(digits, base) if len(digits) < 23 else int(digits.lstrip("0")[:23] or "0", base)
