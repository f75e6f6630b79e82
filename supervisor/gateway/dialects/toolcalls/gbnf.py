"""Pieces of llama.cpp's grammars (grammars/README.md there): literals, classes, repetitions, rules by name. Pure."""

from __future__ import annotations

from typing import Final

from aish.errors import InputError

MAX_RULES: Final = 2000
MAX_BYTES: Final = 256 << 10
MOST_REPEATS: Final = 512
"""A repetition is unrolled by the server: what may be longer ends here, which is valid all the same."""
STRING_CHAR: Final = r'([^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))'
INTEGER: Final = '("-"? ("0" | [1-9] [0-9]{0,15}))'
NUMBER: Final = '("-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?)'
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Grammar:
    """Rules, each said once; `root` is the one that it begins with."""

    def __init__(self) -> None:
        self._rules: dict[str, str] = {}
        self._named: dict[str, str] = {}
        self._bytes = 0

    def rule(self, text: str, name: str | None = None) -> str:
        """The name of a rule with that text. Raises InputError where it becomes too much."""
        if name is None:
            known = self._named.get(text)
            if known is not None:
                return known
            name = f"r{len(self._rules)}"
            self._named[text] = name
        self._bytes += len(text)
        if len(self._rules) >= MAX_RULES or self._bytes > MAX_BYTES:
            raise InputError("the schemas of the tools are too large for a grammar", field="tools")
        self._rules[name] = text
        return name

    def reserve(self) -> str:
        """A name for a rule that is about to be said: it may refer to itself."""
        return self.rule("", f"d{len(self._rules)}")

    def text(self, root: str) -> str:
        lines = [f"root ::= {root}", *(f"{name} ::= {text}" for name, text in self._rules.items())]
        return "\n".join(lines)


def literal(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(char, char) for char in text) + '"'


def either(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else "(" + " | ".join(choices) + ")"


def repeated(item: str, least: int, most: int | None) -> str:
    """`item` is one symbol, or in brackets. Raises InputError."""
    if least > MOST_REPEATS:
        raise InputError(f"a schema of a tool wants {least} repetitions, more than a grammar can hold", field="tools")
    if most is None:
        return {0: f"{item}*", 1: f"{item}+"}.get(least, f"{item}{{{least},}}")
    most = max(least, min(most, max(least, MOST_REPEATS)))
    if most == 0:
        return '""'
    return f"{item}{{{least},{most}}}"


# --- numbers between bounds -------------------------------------------------------------------------------------


def integers(least: int | None, most: int | None) -> str:
    """Every integer from `least` to `most`, both included; None: without bound."""
    if least is None and most is None:
        return INTEGER
    choices: list[str] = []
    if least is None or least < 0:
        largest = None if least is None else -least
        smallest = 1 if most is None or most >= 0 else -most
        if largest is None or smallest <= largest:
            choices.append(f'"-" {_from_to(smallest, largest)}')
    if most is None or most >= 0:
        choices.append(_from_to(max(0, least or 0), most))
    return either(choices) if choices else INTEGER


def numbers(least: float | None, most: float | None) -> str:
    """Numbers between bounds, both included, with up to 6 places; exact where the bounds are integers."""
    if least is None and most is None:
        return NUMBER
    choices: list[str] = []
    if most is None or most >= 0:
        choices += _positive(max(0.0, least or 0.0) if least is not None else 0.0, most)
    if least is None or least < 0:
        low = 0.0 if most is None or most >= 0 else -most
        choices += [f'"-" {part}' for part in _positive(low, None if least is None else -least)]
    return either(choices) if choices else NUMBER


def _positive(least: float, most: float | None) -> list[str]:
    """From 0 up: whole parts that may have a fraction, and a last one that may not."""
    first = int(least) if least == int(least) else int(least) + 1
    if most is None:
        return [f'{_from_to(first, None)} ("." [0-9]{{1,6}})?']
    last = int(most)
    if first > last:
        return []
    choices = [literal(str(last))]
    if first < last:
        choices.append(f'{_from_to(first, last - 1)} ("." [0-9]{{1,6}})?')
    return choices


def _from_to(least: int, most: int | None) -> str:
    """Integers from 0 up, digit by digit."""
    if most is None:
        digits = len(str(least))
        more = f"[1-9] [0-9]{{{digits},15}}"
        return either([*_same_length(str(least), "9" * digits), more])
    choices: list[str] = []
    for digits in range(len(str(least)), len(str(most)) + 1):
        low = max(least, 0 if digits == 1 else 10 ** (digits - 1))
        high = min(most, 10**digits - 1)
        if low <= high:
            choices += _same_length(str(low), str(high))
    return either(choices) if choices else literal(str(least))


def _same_length(low: str, high: str) -> list[str]:
    """Sequences for all numbers between two of as many digits."""
    if low == high:
        return [literal(low)]
    rest = len(low) - 1
    if set(low[1:]) <= {"0"} and set(high[1:]) <= {"9"}:
        head = _digit(low[0], high[0])
        return [f"{head} [0-9]{{{rest}}}" if rest else head]
    if low[0] == high[0]:
        return [f"{literal(low[0])} {part}" for part in _same_length(low[1:], high[1:])]
    found = [f"{literal(low[0])} {part}" for part in _same_length(low[1:], "9" * rest)]
    if int(high[0]) - int(low[0]) > 1:
        found.append(f"{_digit(str(int(low[0]) + 1), str(int(high[0]) - 1))} [0-9]{{{rest}}}")
    return found + [f"{literal(high[0])} {part}" for part in _same_length("0" * rest, high[1:])]


def _digit(low: str, high: str) -> str:
    return literal(low) if low == high else f"[{low}-{high}]"
