"""printf: the format is taken apart once for each different text, and used again while arguments are left."""

from __future__ import annotations

from aish.lang.builtins.letters import with_values
from aish.lang.builtins.simple import digits_at, unescape
from aish.lang.control import CommandError
from aish.lang.digits import saturated
from aish.lang.text import decode, encode, from_byte, from_codepoint, is_name, quote_by_backslash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime

_ESCAPES = {"a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
            "\\": "\\", '"': '"', "'": "'", "?": "?"}  # fmt: skip
_CACHE_SIZE = 200


class _Field:
    """%[flags][width][.precision]conversion; width and precision are -1 where absent, None for `*`. The conversion
    of %(time)T is the time's format with a T behind it, that of one that is none begins with a `!`."""

    __slots__ = ("bare", "conversion", "flags", "precision", "width")

    def __init__(self, flags: str, width: int | None, precision: int | None, conversion: str) -> None:
        self.flags = flags
        self.width = width
        self.precision = precision
        self.conversion = conversion
        plain = not flags and width == -1 and precision == -1
        self.bare = conversion if plain and conversion in ("s", "d") else ""
        """%s or %d as such: most are, and most of their arguments are written as they are."""


class _Stop(Exception):  # noqa: N818 -- not an error
    """\\c: nothing more is written."""


_formats: dict[str, list[str | _Field]] = {}


def printf(rt: Runtime, argv: list[str]) -> int:
    """printf [-v name] format [words]: the words by %s %b %c %d %o %u %x %e %f %g %a %q %(time)T, and escapes."""
    name: str | None = None
    if len(argv) > 1 and argv[1][:1] != "-":
        words = argv[1:]
    else:
        options, words = with_values(argv, "v:")
        name = options[-1][1] if options else None
    if name is not None and not _is_variable(name):
        raise CommandError(f"{name}: not a variable's name", status=2)
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
        if name is None:
            rt.write("".join(output.texts))
        raise
    text = "".join(output.texts)
    if name is None:
        rt.write(text)
    else:
        _assign(rt, name, text)
    return output.status


def _is_variable(name: str) -> bool:
    if is_name(name):
        return True
    from aish.lang.subscripts import split

    return split(name) is not None


def _assign(rt: Runtime, name: str, text: str) -> None:
    """printf -v: bytes that were written one by one are characters again; a NUL ends a value."""
    from aish.lang.subscripts import store

    store(rt, name, decode(encode(text)).partition("\0")[0])


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
    return ("" if char == "'" else "\\") + char, pos + 1


def _field(text: str, pos: int) -> tuple[_Field, int]:
    begin = pos
    while text[pos : pos + 1] and text[pos] in "-+ #0'":
        pos += 1
    flags = text[begin:pos].replace("'", "")
    width, pos = _amount(text, pos)
    precision: int | None = -1
    if text[pos : pos + 1] == ".":
        precision, pos = _amount(text, pos + 1)
        precision = 0 if precision == -1 else precision
    while text[pos : pos + 1] and text[pos] in "hlLjzt":
        pos += 1
    conversion = text[pos : pos + 1]
    if conversion == "(":
        end = text.find(")T", pos)
        if end >= 0:
            return _Field(flags, width, precision, text[pos + 1 : end] + "T"), end + 2
    if not conversion or conversion not in "bcdiouxXeEfFgGaAsqQn":
        return _Field(flags, width, precision, "!" + text[begin : pos + 1]), pos + 1
    return _Field(flags, width, precision, conversion), pos + 1


def _amount(text: str, pos: int) -> tuple[int | None, int]:
    if text[pos : pos + 1] == "*":
        return None, pos + 1
    digits, pos = digits_at(text, pos, "0123456789", 9)
    return int(digits) if digits else -1, pos


_MOST_PLACES = 300
"""Behind the point; beyond it a double is exact enough."""


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
        if part.bare and self.at < len(self.arguments):
            text = self.arguments[self.at]
            if part.bare == "s" or (text.isdecimal() and text.isascii() and text[0] != "0" and len(text) < 19):
                self.at += 1
                self.texts.append(text)
                return
        flags, width, precision = part.flags, part.width, part.precision
        if part.conversion[0] == "!":
            raise CommandError(f"%{part.conversion[1:]}: not a conversion", hint="%% writes a percent sign")
        if width is None:
            width = self._integer(self._next() or "0")
            if width < 0:
                flags, width = flags + "-", -width
        if precision is None:
            precision = self._integer(self._next() or "0")
            precision = max(precision, -1)
        if width > 1 << 24 or precision > 1 << 24:
            raise CommandError(f"{max(width, precision)}: a width too large")
        argument = self._next()
        match part.conversion:
            case "s" | "c" | "b" | "q" | "Q":
                self._text(part.conversion, argument or "", flags, width, precision)
            case "d" | "i" | "o" | "u" | "x" | "X":
                unsigned = part.conversion not in "di"
                number = self._integer(argument or "0", unsigned=unsigned)
                if unsigned and number < 0:
                    number += 1 << 64
                self.texts.append(_c_integer(number, part.conversion, flags, width, precision))
            case "n":
                self.rt.vars.set(argument or "", str(len("".join(self.texts))))
            case _ if part.conversion[-1] == "T":
                self._time(part.conversion[:-1], argument, flags, width, precision)
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
        elif conversion == "q":
            text = quote_by_backslash(text)
        elif conversion == "Q":
            text = quote_by_backslash(decode(encode(text)[:precision]) if precision >= 0 else text)
            precision = -1
        if conversion == "c":
            precision = 1
        data = encode(text)  # C counts bytes
        if 0 <= precision < len(data):
            data = data[:precision]
            text = decode(data)
        pad = " " * (width - max(len(data), conversion == "c"))
        text = text or "\0" * (conversion == "c")
        self.texts.append(text + pad if "-" in flags else pad + text)
        if stopped:
            raise _Stop

    def _time(self, form: str, argument: str | None, flags: str, width: int, precision: int) -> None:
        """%(strftime's format)T: of a number of seconds; now where there is none, or -1; -2: when the shell began."""
        import os
        import time

        zone = self.rt.vars.get("TZ")
        if zone is not None and os.environ.get("TZ") != zone:
            os.environ["TZ"] = zone
            time.tzset()
        seconds = self._integer(argument) if argument is not None else -1
        if seconds in (-1, -2):
            seconds = int(time.time()) if seconds == -1 else int(self.rt.began_s)
        text = time.strftime(form or "%X", time.localtime(seconds))
        self._text("s", text, flags, width, precision)

    def _integer(self, text: str, *, unsigned: bool = False) -> int:
        """The number that an argument is; what is none is complained about, and counts as far as it is."""
        stripped = text.lstrip(" \t\n")
        if text[:1] in ("'", '"'):
            return encode(text[1:])[0] if self.rt.locale.bytewise and text[1:] else _code(text[1:])
        sign = -1 if stripped[:1] == "-" else 1
        body = stripped[1:] if stripped[:1] in ("-", "+") else stripped
        base, allowed, at = 10, "0123456789", 0
        if body[:2] in ("0x", "0X"):
            base, allowed, at = 16, "0123456789abcdefABCDEF", 2
        elif body[:1] == "0":
            base, allowed = 8, "01234567"
        digits, end = digits_at(body, at, allowed, len(body))
        if end < len(body) or (not digits and text):
            self._complain(f"{text}: not a whole number")
        value = sign * saturated(digits, base) if digits else 0
        most = (1 << 64) - 1 if unsigned else (1 << 63) - 1
        least = -most if unsigned else -(1 << 63)
        if not least <= value <= most:
            self.rt.complain(f"printf: {text}: out of range")
            value = most if value > 0 or unsigned else least
        return value

    def _float(self, conversion: str, text: str, flags: str, width: int, precision: int) -> None:
        """Of a long double, but in posix mode of a double."""
        from aish.lang.builtins import long_double

        stripped = text.lstrip(" \t\n")
        posix = self.rt.posix
        if precision <= _MOST_PLACES and not posix:
            exact = long_double.read(stripped)
            if exact is not None:
                self.texts.append(long_double.shown(exact, conversion, flags, width, precision))
                return
        if text[:1] in ("'", '"'):
            value = float(_code(text[1:]))
        else:
            value, rest = _leading_float(stripped)
            if rest:
                self._complain(f"{text}: not a number")
        if value - value != 0:  # infinite, or no number: not padded with zeros
            shown = _spec(flags.replace("0", ""), width, precision, "G" if conversion.isupper() else "g") % value
            if value != value and stripped[:1] == "-":
                negative = "-" + shown.strip(" +")
                shown = negative.ljust(width) if "-" in flags else negative.rjust(width)
        elif conversion in "aA":
            places = min(precision, _MOST_PLACES)
            shown = long_double.hexadecimal(long_double.of(value), conversion, flags, width, places, double=posix)
        else:
            shown = _spec(flags, width, precision, conversion) % value
        self.texts.append(shown)

    def _complain(self, message: str) -> None:
        self.rt.complain(f"printf: {message}")
        self.status = 1


def _code(text: str) -> int:
    """The number of the first character; a byte that is none counts as itself."""
    if not text:
        return 0
    code = ord(text[0])
    return code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code


def _leading_float(text: str) -> tuple[float, str]:
    """The number at the beginning, as strtod reads it, and what is left."""
    for end in range(len(text), 0, -1):
        piece = text[:end]
        if "_" in piece or piece != piece.strip():
            continue
        try:
            return (float.fromhex(piece) if "x" in piece.lower() else float(piece)), text[end:]
        except (ValueError, OverflowError):
            continue  # a shorter one may be a number
    return 0.0, text


def _spec(flags: str, width: int, precision: int, conversion: str) -> str:
    """The format for Python's % operator, which is C's."""
    return f"%{flags}{width if width >= 0 else ''}{f'.{precision}' if precision >= 0 else ''}{conversion}"


def _c_integer(number: int, conversion: str, flags: str, width: int, precision: int) -> str:
    """As C writes it."""
    digits = format(abs(number), conversion if conversion in "oxX" else "d")
    digits = digits.rjust(precision, "0") if number or precision else ""
    before = ""
    if conversion in "di":
        before = "-" if number < 0 else "+" if "+" in flags else " " if " " in flags else ""
    elif "#" in flags and conversion in "xX" and number:
        before = "0" + conversion
    elif "#" in flags and conversion == "o" and digits[:1] != "0":
        digits = "0" + digits
    if "-" in flags:
        return (before + digits).ljust(width)
    if "0" in flags and precision < 0:
        return before + digits.rjust(width - len(before), "0")
    return (before + digits).rjust(width)


TABLE: dict[str, Builtin] = {"printf": printf}
