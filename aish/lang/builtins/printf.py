"""printf: the format is taken apart once for each different text, and used again while arguments are left."""

from __future__ import annotations

from aish.lang.builtins.simple import digits_at, unescape
from aish.lang.control import CommandError
from aish.lang.text import from_byte, from_codepoint, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime

_ESCAPES = {"a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\",
            '"': '"', "'": "'"}  # fmt: skip
_CACHE_SIZE = 200


class _Field:
    """%[flags][width][.precision]conversion; width and precision are -1 where absent, None for `*`."""

    __slots__ = ("conversion", "flags", "precision", "width")

    def __init__(self, flags: str, width: int | None, precision: int | None, conversion: str) -> None:
        self.flags = flags
        self.width = width
        self.precision = precision
        self.conversion = conversion


class _Stop(Exception):  # noqa: N818 -- not an error
    """\\c: nothing more is written."""


_formats: dict[str, list[str | _Field]] = {}


def printf(rt: Runtime, argv: list[str]) -> int:
    """printf format [arguments]: %b %c %d %i %o %u %x %X %e %f %g %a %s %q %%, and the escapes of C."""
    words = argv[1:]
    variable = ""
    if words and words[0][:2] == "-v":
        variable, words = _variable(words)
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        raise CommandError("a format expected", status=2, hint="printf '%s\\n' words")
    parts = _formats.get(words[0])
    if parts is None:
        if len(_formats) >= _CACHE_SIZE:
            _formats.clear()
        parts = _formats[words[0]] = _parse(words[0])
    output = _Output(rt, words[1:])
    try:
        while True:
            before = output.at
            for part in parts:
                output.add(part)
            if output.at >= len(output.arguments) or output.at == before:
                break
    except _Stop:
        pass
    except CommandError:
        if not variable:
            rt.write("".join(output.texts))
        raise
    if not variable:
        rt.write("".join(output.texts))
        return output.status
    from aish.lang.subscripts import store

    store(rt, variable, "".join(output.texts).replace("\0", ""))
    return output.status


def _variable(words: list[str]) -> tuple[str, list[str]]:
    """The operand of -v, and the words behind it. Raises CommandError."""
    from aish.lang.subscripts import split

    variable = words[0][2:]
    rest = words[1:]
    if not variable and rest:
        variable, rest = rest[0], rest[1:]
    if split(variable) is None:
        raise CommandError(f"{variable}: not a variable's name", status=2)
    return variable, rest


def _parse(text: str) -> list[str | _Field]:
    parts: list[str | _Field] = []
    plain: list[str] = []
    pos = 0
    while pos < len(text):
        char = text[pos]
        pos += 1
        if char == "\\":
            piece, pos = _escape(text, pos)
            plain.append(piece)
        elif char != "%":
            plain.append(char)
        elif text[pos : pos + 1] == "%":
            plain.append("%")
            pos += 1
        else:
            if plain:
                parts.append("".join(plain))
                plain.clear()
            field, pos = _field(text, pos)
            parts.append(field)
    if plain:
        parts.append("".join(plain))
    return parts


def _escape(text: str, pos: int) -> tuple[str, int]:
    """What the escape behind a backslash at `pos` stands for, and where it ends."""
    char = text[pos : pos + 1]
    if char in _ESCAPES:
        return _ESCAPES[char], pos + 1
    if char and char in "01234567":
        digits, pos = digits_at(text, pos, "01234567", 3)
        return from_byte(int(digits, 8)), pos
    if char and char in "xuU":
        digits, end = digits_at(text, pos + 1, "0123456789abcdefABCDEF", {"x": 2, "u": 4, "U": 8}[char])
        if digits:
            return (from_byte if char == "x" else from_codepoint)(int(digits, 16)), end
    return "\\" + char, pos + 1


def _field(text: str, pos: int) -> tuple[_Field, int]:
    begin = pos
    while text[pos : pos + 1] and text[pos] in "-+ #0":
        pos += 1
    flags = text[begin:pos]
    width, pos = _amount(text, pos)
    precision: int | None = -1
    if text[pos : pos + 1] == ".":
        precision, pos = _amount(text, pos + 1)
        precision = 0 if precision == -1 else precision
    while text[pos : pos + 1] and text[pos] in "hlLjzt":
        pos += 1
    conversion = text[pos : pos + 1]
    if not conversion or conversion not in "bcdiouxXeEfFgGaAsq":
        shown = text[begin : pos + 1]
        raise CommandError(f"%{shown}: not a conversion", hint="%% writes a percent sign")
    return _Field(flags, width, precision, conversion), pos + 1


def _amount(text: str, pos: int) -> tuple[int | None, int]:
    if text[pos : pos + 1] == "*":
        return None, pos + 1
    digits, pos = digits_at(text, pos, "0123456789", 9)
    return int(digits) if digits else -1, pos


class _Output:
    """What printf has put together, and where it stands in its arguments."""

    def __init__(self, rt: Runtime, arguments: list[str]) -> None:
        self.rt = rt
        self.arguments = arguments
        self.at = 0
        self.status = 0
        self.texts: list[str] = []

    def add(self, part: str | _Field) -> None:
        if isinstance(part, str):
            self.texts.append(part)
            return
        flags, width, precision = part.flags, part.width, part.precision
        if width is None:
            width = self._integer(self._next() or "0")
            if width < 0:
                flags, width = flags + "-", -width
        if precision is None:
            precision = self._integer(self._next() or "0")
        if width > 1 << 24:
            raise CommandError(f"{width}: a width too large")
        argument = self._next()
        match part.conversion:
            case "s" | "c" | "b" | "q":
                self._text(part.conversion, argument or "", flags, width, precision)
            case "d" | "i" | "o" | "u" | "x" | "X":
                spec = _spec(flags, width, precision, "d" if part.conversion in "iu" else part.conversion)
                number = self._integer(argument or "0")
                if part.conversion in "uoxX" and number < 0:
                    number += 1 << 64
                self.texts.append(_c_integer(spec, number, part.conversion, precision))
            case _:
                self._float(part.conversion, argument or "0", flags, width, precision)

    def _next(self) -> str | None:
        if self.at >= len(self.arguments):
            self.at += 1  # counts, so that a format of nothing but missing arguments ends
            return None
        self.at += 1
        return self.arguments[self.at - 1]

    def _text(self, conversion: str, text: str, flags: str, width: int, precision: int) -> None:
        stopped = False
        if conversion == "b":
            text, stopped = unescape(text)
        elif conversion == "c":
            text = text[:1]
        elif conversion == "q":
            text = quote(text)
        if precision >= 0:
            text = text[:precision]
        self.texts.append(text.ljust(width) if "-" in flags else text.rjust(width))
        if stopped:
            raise _Stop

    def _integer(self, text: str) -> int:
        """The number that an argument is; what is none is complained about, and counts as far as it is."""
        stripped = text.strip(" \t\n")
        if stripped[:1] in ("'", '"'):
            return ord(stripped[1]) if len(stripped) > 1 else 0
        sign = -1 if stripped[:1] == "-" else 1
        body = stripped[1:] if stripped[:1] in ("-", "+") else stripped
        base, allowed, at = 10, "0123456789", 0
        if body[:2] in ("0x", "0X"):
            base, allowed, at = 16, "0123456789abcdefABCDEF", 2
        elif body[:1] == "0":
            base, allowed = 8, "01234567"
        digits, end = digits_at(body, at, allowed, len(body))
        if end < len(body) or (not digits and stripped):
            self._complain(f"{text}: not a whole number")
        value = sign * int(digits, base) if digits else 0
        if not -(1 << 63) <= value < 1 << 64:
            self._complain(f"{text}: out of range")
            value = min(max(value, -(1 << 63)), (1 << 63) - 1)
        return value - (1 << 64) if value >= 1 << 63 else value

    def _float(self, conversion: str, text: str, flags: str, width: int, precision: int) -> None:
        stripped = text.strip(" \t\n")
        if stripped[:1] in ("'", '"'):
            value = float(ord(stripped[1])) if len(stripped) > 1 else 0.0
        else:
            try:
                hexadecimal = "x" in stripped.lower()
                value = float.fromhex(stripped) if hexadecimal else float(stripped.replace("_", "?"))
            except (ValueError, OverflowError):
                self._complain(f"{text}: not a number")
                value = 0.0
        if conversion in "aA":
            shown = value.hex() if conversion == "a" else value.hex().upper()
            self.texts.append(shown.ljust(width) if "-" in flags else shown.rjust(width))
        else:
            self.texts.append(_spec(flags, width, precision, conversion) % value)

    def _complain(self, message: str) -> None:
        self.rt.complain(f"printf: {message}")
        self.status = 1


def _spec(flags: str, width: int, precision: int, conversion: str) -> str:
    """The format for Python's % operator, which is C's."""
    return f"%{flags}{width if width >= 0 else ''}{f'.{precision}' if precision >= 0 else ''}{conversion}"


def _c_integer(spec: str, number: int, conversion: str, precision: int) -> str:
    """Where Python's % differs from C: octal's # and a precision of 0 with the value 0."""
    if number == 0 and precision == 0:
        sign = "+" if "+" in spec else " " if " " in spec else ""
        return sign if conversion in "di" else ""
    if conversion == "o" and "#" in spec:
        digits = f"{number:o}"
        return (spec.replace("#", "")[:-1] + "s") % (digits if number == 0 else "0" + digits)
    if precision >= 0:
        spec = _without_zero_flag(spec)
    return spec % number


def _without_zero_flag(spec: str) -> str:
    """A precision turns the flag 0 off."""
    at = 1
    while spec[at] in "-+ #0":
        at += 1
    return "%" + spec[1:at].replace("0", "") + spec[at:]


TABLE: dict[str, Builtin] = {"printf": printf}
