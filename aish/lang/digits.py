"""Digits as numbers, however many there are. Pure."""

from __future__ import annotations


def saturated(digits: str, base: int = 10) -> int:
    """The number that digits of base 8, 10 or 16 stand for; of one above 64 bits only that it is above.

    Text that is not ours may have millions of digits, for which Python takes too long, or which it refuses.
    """
    return int(digits, base) if len(digits) < 23 else int(digits.lstrip("0")[:23] or "0", base)


def signed(text: str) -> int | None:
    """The number of 64 bits that a text is, with a sign perhaps and blanks around it; None for any other text."""
    word = text.strip(" \t\n")
    digits = word[1:] if word[:1] in ("-", "+") else word
    if not (digits.isdecimal() and digits.isascii()):
        return None
    number = -saturated(digits) if word[0] == "-" else saturated(digits)
    return number if -(1 << 63) <= number < 1 << 63 else None
