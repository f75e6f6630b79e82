"""Numbers as C's long double has them, 64 bits of mantissa: what %f, %e, %g and %a of bash's printf show. Pure."""

from __future__ import annotations

_BITS = 64
_DOUBLE_BITS = 53
_MOST_EXPONENT = 16_384
"""Of two."""
_MOST_DIGITS = 4_000
"""Python writes no number of more than 4300."""


class LongDouble:
    """sign * mantissa * 2**exponent."""

    __slots__ = ("exponent", "mantissa", "negative")

    def __init__(self, mantissa: int, exponent: int, *, negative: bool) -> None:
        self.mantissa = mantissa
        self.exponent = exponent
        self.negative = negative

    def scaled(self, tens: int) -> int:
        """The value times 10**tens, rounded to a whole number as C rounds: a half to the even one."""
        return _rounded(*self._times(tens))

    def power(self) -> int:
        """The power of ten of its first digit."""
        tens = 20 - int((self.mantissa.bit_length() + self.exponent) * 0.30103)
        above, below = self._times(tens)
        return len(str(above // below)) - 1 - tens

    def _times(self, tens: int) -> tuple[int, int]:
        above, below = self.mantissa, 1
        if tens >= 0:
            above *= 10**tens
        else:
            below = 10**-tens
        if self.exponent >= 0:
            above <<= self.exponent
        else:
            below <<= -self.exponent
        return above, below


def read(text: str) -> LongDouble | None:
    """The number that a decimal text is; None for any other."""
    body = text[1:] if text[:1] in ("-", "+") else text
    digits, mark, power = body.lower().partition("e")
    whole, _, part = digits.partition(".")
    if not (whole + part).isdecimal() or not text.isascii() or len(text) > _MOST_DIGITS:
        return None
    if mark and not (power[1:] if power[:1] in ("-", "+") else power).isdecimal():
        return None
    tens = int(power or 0) - len(part)
    number = int(whole + part)
    negative = text[:1] == "-"
    if number == 0:
        return LongDouble(0, 0, negative=negative)
    if abs(tens + len(str(number))) > _MOST_DIGITS:
        return None
    above, below = (number * 10**tens, 1) if tens >= 0 else (number, 10**-tens)
    exponent = above.bit_length() - below.bit_length() - _BITS
    if _shifted(above, below, exponent).bit_length() > _BITS:
        exponent += 1
    mantissa = _shifted(above, below, exponent)
    if mantissa.bit_length() + exponent > _MOST_EXPONENT:
        return None
    return LongDouble(mantissa, exponent, negative=negative)


def _shifted(above: int, below: int, exponent: int) -> int:
    if exponent >= 0:
        return _rounded(above, below << exponent)
    return _rounded(above << -exponent, below)


def _rounded(above: int, below: int) -> int:
    found, rest = divmod(above, below)
    return found + (rest * 2 > below or (rest * 2 == below and found % 2 == 1))


def shown(value: LongDouble, conversion: str, flags: str, width: int, precision: int) -> str:
    """What printf writes for %f %F %e %E %g %G %a %A."""
    if conversion in "aA":
        return hexadecimal(value, conversion, flags, width, precision)
    precision = 6 if precision < 0 else precision
    kind = conversion.lower()
    if kind == "f":
        text = _fixed(value, precision, "#" in flags)
    elif kind == "e":
        text = _scientific(value, precision, "#" in flags)
    else:
        text = _general(value, precision or 1, "#" in flags)
    if conversion.isupper():
        text = text.upper()
    return _padded(_sign(value, flags), text, flags, width)


def of(value: float) -> LongDouble:
    """A number of Python's."""
    above, below = abs(value).as_integer_ratio()
    return LongDouble(above, 1 - below.bit_length(), negative=str(value)[0] == "-")


def hexadecimal(
    value: LongDouble, conversion: str, flags: str, width: int, precision: int, *, double: bool = False
) -> str:
    """%a and %A: four bits of a long double stand before the point, one of a `double`."""
    bits, before = (_DOUBLE_BITS, 1) if double else (_BITS, 4)
    places = (bits - before) // 4
    mantissa, power = value.mantissa, 0
    if mantissa:
        shift = bits - mantissa.bit_length()
        mantissa = mantissa << shift if shift >= 0 else _rounded(mantissa, 1 << -shift)
        power = value.exponent - shift + bits - before
    digits = f"{mantissa:x}".rjust(places + 1, "0")
    if precision < 0:
        digits = digits[0] + digits[1:].rstrip("0")
    elif precision < places:
        digits = f"{_rounded(mantissa, 1 << 4 * (places - precision)):x}".rjust(precision + 1, "0")
        if len(digits) > precision + 1:  # f.ff became 10.00
            digits, power = digits[:-1], power + 4
    else:
        digits = digits.ljust(precision + 1, "0")
    point = "." * (len(digits) > 1 or "#" in flags)
    text = f"{digits[0]}{point}{digits[1:]}p{power:+}"
    prefix = "0x"
    if conversion == "A":
        prefix, text = "0X", text.upper()
    return _padded(_sign(value, flags) + prefix, text, flags, width)


def _sign(value: LongDouble, flags: str) -> str:
    return "-" if value.negative else "+" if "+" in flags else " " if " " in flags else ""


def _padded(before: str, text: str, flags: str, width: int) -> str:
    """To the width: by zeros behind the sign, or by blanks."""
    if "-" in flags:
        return (before + text).ljust(width)
    if "0" in flags:
        return before + text.rjust(width - len(before), "0")
    return (before + text).rjust(width)


def _pointed(digits: str, places: int, point: bool) -> str:
    """A point in front of the last `places` digits."""
    digits = digits.rjust(places + 1, "0")
    if not places:
        return digits + "." * point
    return f"{digits[:-places]}.{digits[-places:]}"


def _fixed(value: LongDouble, places: int, point: bool) -> str:
    return _pointed(str(value.scaled(places)), places, point)


def _parts(value: LongDouble, places: int) -> tuple[str, int]:
    """places + 1 digits, and the power of ten of the first one."""
    if not value.mantissa:
        return "0" * (places + 1), 0
    power = value.power()
    digits = str(value.scaled(places - power))
    if len(digits) > places + 1:  # 9.99 became 10
        return digits[:-1], power + 1
    return digits, power


def _scientific(value: LongDouble, places: int, point: bool) -> str:
    digits, power = _parts(value, places)
    return f"{_pointed(digits, places, point)}e{power:+03d}"


def _general(value: LongDouble, wanted: int, point: bool) -> str:
    """The shorter of both, without zeros at the end."""
    _, power = _parts(value, wanted - 1)
    if -4 <= power < wanted:
        text, tail = _fixed(value, wanted - 1 - power, point), ""
    else:
        text, mark, tail = _scientific(value, wanted - 1, point).partition("e")
        tail = mark + tail
    if "." in text and not point:
        text = text.rstrip("0").rstrip(".")
    return text + tail
