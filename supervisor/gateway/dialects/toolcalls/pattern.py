"""A regular expression as a grammar for the characters of a JSON string, as far as it is regular. Pure.

Python's own parser reads it (the dialects differ in what nobody writes into a schema). What cannot be said in a
grammar, such as looking around and back references, is None: then any string is allowed.
"""

from __future__ import annotations

import re
from typing import Any, Final

from aish.errors import InputError
from aish.supervisor.gateway.dialects.toolcalls.gbnf import STRING_CHAR, either, literal, repeated

MAX_CHARS: Final = 1000
_ANY: Final = r'([^"\\\x7F\x00-\x1F' + "\u2028\u2029" + r'] | "\\" ["\\/bft])'
"""What a dot stands for: no end of a line (ECMA-262, 22.2.2.7), however JSON writes it."""
_parser: Final = re._parser  # type: ignore[attr-defined]  # noqa: SLF001  the parser behind re.compile
_CLASSES: Final = {
    "CATEGORY_DIGIT": "0-9",
    "CATEGORY_WORD": "a-zA-Z0-9_",
    "CATEGORY_SPACE": " ",
}
_OPPOSITES: Final = {
    "CATEGORY_NOT_DIGIT": "0-9",
    "CATEGORY_NOT_WORD": "a-zA-Z0-9_",
    "CATEGORY_NOT_SPACE": "\\x20\\x85\\xA0",
}


class _UnsaidError(Exception):
    """It is beyond a grammar."""


def characters(pattern: str) -> str | None:
    """What may stand between the quotes of a string that the pattern finds something in."""
    if len(pattern) > MAX_CHARS:
        return None
    try:
        parts = list(_parser.parse(pattern))
        begins = bool(parts) and _is_at(parts[0], "AT_BEGINNING")
        ends = bool(parts) and _is_at(parts[-1], "AT_END")
        inner = parts[1 if begins else 0 : len(parts) - 1 if ends else len(parts)]
        said = _sequence(inner)
    except (re.error, RecursionError, OverflowError, InputError, _UnsaidError):
        return None
    free = f"{STRING_CHAR}{{0,64}}"
    return " ".join(([] if begins else [free]) + [said] + ([] if ends else [free]))


def _is_at(part: Any, where: str) -> bool:
    return str(part[0]) == "AT" and str(part[1]).startswith(where)


def _sequence(parts: list[Any]) -> str:
    return " ".join(_one(str(kind), value) for kind, value in parts) or '""'


def _one(kind: str, value: Any) -> str:
    match kind:
        case "LITERAL":
            return _char(value)
        case "NOT_LITERAL":
            return _class([("NEGATE", None), ("LITERAL", value)])
        case "ANY":
            return _ANY
        case "IN":
            return _class(value)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, inner = value
            unbounded = str(most) == "MAXREPEAT"
            return repeated(f"({_sequence(list(inner))})", int(least), None if unbounded else int(most))
        case "SUBPATTERN":
            _, add, drop, inner = value
            if add or drop:
                raise _UnsaidError
            return f"({_sequence(list(inner))})"
        case "BRANCH":
            return either([f"({_sequence(list(branch))})" for branch in value[1]])
        case _:
            raise _UnsaidError


def _char(code: int) -> str:
    """As it stands in JSON."""
    if code in (0x22, 0x5C):
        return literal("\\" + chr(code))
    if code < 0x20 or code == 0x7F:
        raise _UnsaidError
    return literal(chr(code))


def _class(members: list[Any]) -> str:
    if len(members) == 1 and str(members[0][1]) in _OPPOSITES:
        return f'[^{_OPPOSITES[str(members[0][1])]}"' + r"\\\x7F\x00-\x1F]"
    negated = bool(members) and str(members[0][0]) == "NEGATE"
    spans = [_span(str(kind), value) for kind, value in (members[1:] if negated else members)]
    if negated:
        return "[^" + "".join(spans) + r'"\\\x7F\x00-\x1F]'
    if any(_holds(kind, value, 0x22) or _holds(kind, value, 0x5C) for kind, value in members):
        raise _UnsaidError  # a character that JSON writes as two
    return "[" + "".join(spans) + "]"


def _span(kind: str, value: Any) -> str:
    match kind:
        case "LITERAL":
            return _member(value)
        case "RANGE":
            return f"{_member(value[0])}-{_member(value[1])}"
        case "CATEGORY" if str(value) in _CLASSES:
            return _CLASSES[str(value)]
        case _:
            raise _UnsaidError


def _holds(kind: Any, value: Any, code: int) -> bool:
    match str(kind):
        case "LITERAL":
            return bool(value == code)
        case "RANGE":
            return bool(value[0] <= code <= value[1])
        case _:
            return False


def _member(code: int) -> str:
    """Inside a class."""
    if code < 0x20 or code == 0x7F:
        raise _UnsaidError
    char = chr(code)
    return f"\\{char}" if char in "]\\[-^" and char in "]\\[" else f"\\x{code:02X}" if char in "-^" else char
