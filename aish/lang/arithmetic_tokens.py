"""The lexemes of arithmetic: numbers, names, operators, name[subscript]."""

from __future__ import annotations

from aish.error import AishError
from aish.lang.digits import saturated
from aish.lang.text import quote_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol, TypeAlias

    from aish.lang.arrays import Array
    from aish.lang.runtime import Runtime

    Key = Callable[[Runtime, Array], int | str]
    """Gives the key of an element of the array. Raises CommandError."""
    Lexeme: TypeAlias = "str | int | Slot | Subscripted"

    class Holes(Protocol):
        """The expansions in an expression, in order."""

        def slot(self, before: str, after: str) -> Slot:
            """The operand that the next expansion is. Raises ExpressionError where it may be more than one."""

        def key(self, subscript: str) -> Key:
            """The key of a subscript with expansions in it."""


MAX_DEPTH = 100
LOWEST = -(1 << 63)
HIGHEST = (1 << 63) - 1
NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")
_SPACE = frozenset(" \t\n\r")
OPERATORS = (
    "<<=", ">>=", "**=", "++", "--", "**", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=", "-=", "*=", "/=",
    "%=", "&=", "^=", "|=", "+", "-", "*", "/", "%", "<", ">", "=", "!", "~", "&", "|", "^", "?", ":", ",", "(", ")",
)  # fmt: skip


class ExpressionError(AishError):
    """The text is no expression, or has no value. The caller knows the place."""


def wrap(value: int) -> int:
    """`value` as a 64-bit signed integer, as C would have it."""
    if LOWEST <= value <= HIGHEST:
        return value
    return (value - LOWEST) % (1 << 64) + LOWEST


known: dict[str, int] = {}
"""Numbers by their decimal digits: they are read more often than they change, and finding is faster than parsing."""
_KNOWN_SIZE = 5000


def decimal(text: str) -> int | None:
    """The number that decimal digits stand for; None for anything else. `known` has it afterwards."""
    if text.isdecimal() and text.isascii() and (text[0] != "0" or text == "0") and len(text) < 19:
        if len(known) >= _KNOWN_SIZE:
            known.clear()
        number = known[text] = int(text)
        return number
    return None


def wrapped(digits: str, base: int = 10) -> int:
    """The number that decimal, or octal, digits stand for, in 64 bits. The last 64 decide: 2**64 divides 10**64."""
    return wrap(int(digits[-64:], base))


def constant(text: str) -> int | None:
    """The value of a number: decimal, 0octal, 0xhex, base#digits; None where `text` is not one."""
    if text.isdecimal() and text.isascii():
        if text[0] != "0" or text == "0":
            return wrapped(text)
        return None if text.strip("01234567") else wrapped(text, 8)
    if text[:2] in ("0x", "0X"):
        digits, base = text[2:], 16
    else:
        prefix, hash_, digits = text.partition("#")
        if not hash_ or not prefix.isdecimal() or not 2 <= saturated(prefix) <= 64:
            return None
        base = saturated(prefix)
    return _digits(digits, base)


def _digits(digits: str, base: int) -> int | None:
    if not digits:
        return None
    value = 0
    for char in digits:
        if "0" <= char <= "9":
            digit = ord(char) - 48
        elif "a" <= char <= "z":
            digit = ord(char) - 87
        elif "A" <= char <= "Z":
            digit = ord(char) - (55 if base <= 36 else 29)
        else:
            digit = {"@": 62, "_": 63}.get(char, 99)
        if digit >= base:
            return None
        value = value * base + digit
    return wrap(value)


def tokens(text: str, holes: Holes | None = None) -> list[Lexeme]:
    """Operators and names as str, numbers as int. A NUL in the text stands for an expansion, which `holes` knows."""
    found: list[Lexeme] = []
    pos, size = 0, len(text)
    while pos < size:
        char = text[pos]
        if char in _SPACE:
            pos += 1
        elif char in NAME:
            end = pos
            while end < size and (text[end] in NAME or (text[end] in "#@" and "0" <= char <= "9")):
                end += 1
            word = text[pos:end]
            pos = end
            if "0" <= char <= "9":
                value = constant(word)
                if value is None:
                    raise ExpressionError(f"'{word}' is not a number")
                found.append(value)
            elif text[pos : pos + 1] == "[":
                end = _bracket_end(text, pos)
                subscript = text[pos + 1 : end - 1]
                key = holes.key(subscript) if holes is not None and "\0" in subscript else None
                found.append(Subscripted(word, subscript, key))
                pos = end
            else:
                found.append(word)
        elif char == "\0" and holes is not None:
            found.append(holes.slot(text[pos - 1 : pos], text[pos + 1 : pos + 2]))
            pos += 1
        else:
            for op in OPERATORS:
                if text.startswith(op, pos):
                    break
            else:
                raise ExpressionError(f"'{char}' does not belong into arithmetic")
            if op in ("++", "--") and not _steps(found, text[pos + 2 :]):
                op = char
            found.append(op)
            pos += len(op)
    return found


def _steps(before: list[Lexeme], rest: str) -> bool:
    """Whether ++ or -- between these has a variable on one side; else it is a sign, and perhaps another one."""
    last = before[-1] if before else None
    if isinstance(last, Subscripted) or (isinstance(last, str) and last[0] in NAME):
        return True
    following = rest.lstrip(" \t\n\r")[:1]
    return following == "\0" or (following in NAME and not following.isdecimal() and following != "")


def _bracket_end(text: str, pos: int) -> int:
    """The place behind the bracket that closes the one at `pos`."""
    begin, level, size = pos, 0, len(text)
    while pos < size:
        char = text[pos]
        if char == "\\":
            pos += 1
        elif char in "'\"":
            pos = quote_end(text, pos)
        elif char == "[":
            level += 1
            if level > MAX_DEPTH:
                raise ExpressionError(f"nested more than {MAX_DEPTH} levels deep")
        elif char == "]":
            level -= 1
            if not level:
                return pos + 1
        pos += 1
    raise ExpressionError(f"the bracket of '{text[begin : begin + 20]}' is not closed")


class Slot:
    """An operand that an expansion fills in before the expression is evaluated."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Subscripted:
    """name[subscript]; `key` where expansions in the subscript know it, else None: it is all text."""

    __slots__ = ("key", "name", "subscript")

    def __init__(self, name: str, subscript: str, key: Key | None) -> None:
        self.name = name
        self.subscript = subscript
        self.key = key
