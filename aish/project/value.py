"""What may stand behind a key: how it is called, read and told to editors. Pure."""

from __future__ import annotations

import json
import math
import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from aish.errors import UsageError
from aish.model.moment import parse_duration_s
from aish.model.nearest import nearest
from aish.model.signal_number import signal_number
from aish.model.size import BELOW, parse_bytes, parse_count
from aish.model.spec import MOST_TIME_S
from aish.sandbox import hosts

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.config.document import Document
    from aish.config.places import Path
    from aish.config.problem import Problems

    Schema = dict[str, Any]

WRONG: Final = None
"""What a value that is a problem is read as, and what stands in its place where it was one before it was read."""
_VARIABLE: Final = r"\$\{"
LONGEST: Final = f"{MOST_TIME_S / 86400:.0f}d"
"""Of every time that is not bound closer."""


class Reading:
    """Where values are read from, and where their problems go."""

    def __init__(self, document: Document, problems: Problems) -> None:
        self.document = document
        self.problems = problems

    def wrong(self, at: Path, message: str, hint: str | None = None) -> None:
        self.problems.add(self.document, at, message, hint)


class Value:
    """One kind of value. `kind` names it in the reference, `expected` in errors."""

    kind = "text"
    expected = 'a text in quotes, like "some words"'
    private = False
    """Not to be shown in an error: it may be a secret."""

    hint: str | None = None
    """Told where `expected` does not say all."""

    def read(self, raw: Any, at: Path, reading: Reading) -> Any:
        if raw is WRONG or (isinstance(raw, list) and WRONG in raw):
            return WRONG
        hint = self.hint
        try:
            value = self.parse(raw)
        except UsageError as error:
            value, hint = WRONG, error.hint or hint
        if value is WRONG:
            found = type_word(raw) if self.private else shown(raw)
            reading.wrong(at, f"expected {self.expected}, found {found}", hint)
        return value

    def parse(self, raw: Any) -> Any:
        """The value; WRONG, or UsageError with a hint, where it is none."""
        return raw if isinstance(raw, str) and "\0" not in raw else WRONG

    def schema(self) -> Schema:
        return {"type": "string"}


class Text(Value):
    def __init__(
        self,
        expected: str = "",
        pattern: str = "",
        *,
        empty: bool = False,
        private: bool = False,
        hint: str | None = None,
    ) -> None:
        self.expected = expected or Value.expected
        self.hint = hint
        self.pattern = pattern
        self.empty = empty
        self.private = private

    def parse(self, raw: Any) -> str | None:
        if not isinstance(raw, str) or "\0" in raw or not (raw or self.empty):
            return WRONG
        return raw if not self.pattern or re.fullmatch(self.pattern, raw) else WRONG

    def schema(self) -> Schema:
        if self.pattern:
            return {"type": "string", "pattern": f"^(?:{self.pattern})$|{_VARIABLE}"}
        return {"type": "string"} if self.empty else {"type": "string", "minLength": 1}


class Choice(Value):
    def __init__(self, *words: str) -> None:
        self.words = words
        self.kind = " or ".join(f'"{word}"' for word in words)
        self.expected = "one of " + ", ".join(f'"{word}"' for word in words)

    def parse(self, raw: Any) -> str | None:
        if isinstance(raw, str) and raw not in self.words:
            near = nearest(raw, self.words)
            raise UsageError("", hint=f"did you mean {near}?" if near else None)
        return raw if isinstance(raw, str) else WRONG

    def schema(self) -> Schema:
        return {"anyOf": [{"enum": list(self.words)}, {"type": "string", "pattern": _VARIABLE}]}


class Flag(Value):
    kind = "true or false"
    expected = "true or false"

    def parse(self, raw: Any) -> bool | None:
        return (
            {"true": True, "false": False}.get(raw)
            if isinstance(raw, str)
            else raw
            if raw in (True, False)
            else WRONG
        )

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": f"^(?:true|false)$|{_VARIABLE}"}]}


class Number(Value):
    """A whole number, or text that is one: what a variable says is text."""

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most
        self.kind = f"number, {least} to {most}"
        self.expected = f"a whole {self.kind}"

    def parse(self, raw: Any) -> int | None:
        if isinstance(raw, str) and re.fullmatch(r"-?[0-9]{1,18}", raw):
            raw = int(raw)
        return raw if type(raw) is int and self.least <= raw <= self.most else WRONG

    def schema(self) -> Schema:
        number = {"type": "integer", "minimum": self.least, "maximum": self.most}
        return {"anyOf": [number, {"type": "string", "pattern": f"^-?[0-9]+$|{_VARIABLE}"}]}


class Amount(Value):
    """A quantity that people write with its unit, above 0 (with `zero` 0 as well); `least` and `most`, as they write
    them, bound it."""

    def __init__(
        self,
        kind: str,
        expected: str,
        pattern: str,
        parse: Callable[[str], float],
        *,
        plain: bool,
        word: str = "",
        least: str = "",
        most: str = "",
        zero: bool = False,
    ) -> None:
        bounds = [f"{least} or more"] if least else []
        bounds += [f"at most {most}"] if most else []
        self._least, self._most = parse(least) if least else 0, parse(most) if most else math.inf
        self.kind = ", ".join([kind, *bounds])
        self.expected = ", ".join([expected, *bounds])
        self.pattern = pattern
        self._parse = parse
        self._plain = plain
        """Whether a number without quotes is one, too."""
        self._word = word
        """That stands for no bound: 0."""
        self._zero = zero

    def parse(self, raw: Any) -> float | None:
        if isinstance(raw, str):
            if self._word and raw == self._word:
                return 0
            value = self._parse(raw)
        elif self._plain and type(raw) in (int, float) and math.isfinite(raw) and 0 <= raw < BELOW:
            value = raw
        elif type(raw) in (int, float):
            raise UsageError("", hint="in quotes, with its unit")
        else:
            return WRONG
        enough = value >= 0 if self._zero else value > 0
        return value if enough and self._least <= value <= self._most else WRONG

    def schema(self) -> Schema:
        word = f"|{self._word}" if self._word else ""
        text: Schema = {"type": "string", "pattern": f"^(?:{self.pattern}{word})$|{_VARIABLE}"}
        number = {"type": "number", "minimum" if self._zero else "exclusiveMinimum": 0}
        return {"anyOf": [text, number]} if self._plain else text


def size(word: str = "", least: str = "") -> Amount:
    tail = f' or "{word}"' if word else ""
    pattern = r"\s*[0-9.]+\s*[kKmMgGtT]?([iI]?[bB])?\s*"
    expected = 'a size like "8G" or "512M"' + tail
    return Amount("size", expected, pattern, parse_bytes, plain=False, word=word, least=least)


def count(most: str = "", *, zero: bool = False) -> Amount:
    expected, pattern = 'a count like "200k" or 5000', r"[0-9.]+[kKmMgG]?"
    return Amount("count", expected, pattern, parse_count, plain=True, most=most, zero=zero)


def time(word: str = "", least: str = "", most: str = LONGEST, *, zero: bool = False) -> Amount:
    """At most LONGEST goes without saying, until somebody wants more."""
    tail = f' or "{word}"' if word else ""
    expected, pattern = 'a time like "1s" or "5m"' + tail, r"[0-9.]+\s*[smhdw]"
    found = Amount(
        "time", expected, pattern, parse_duration_s, plain=False, word=word, least=least, most=most, zero=zero
    )
    if most == LONGEST:
        found.hint = f"above 0, at most {LONGEST}"
        found.kind, found.expected = (
            text.removesuffix(f", at most {LONGEST}") for text in (found.kind, found.expected)
        )
    return found


def cores(least: str = "", most: str = "") -> Amount:
    expected, pattern = 'a number of cores like "1.5"', r"[0-9]+(\.[0-9]+)?"
    return Amount("cores", expected, pattern, _decimal, plain=True, least=least, most=most)


def dollars(most: str = "") -> Amount:
    """Also none: what is free has a price, too."""
    expected, pattern = 'US dollars like 0.25 or "3"', r"[0-9]+(\.[0-9]+)?"
    return Amount("price", expected, pattern, _decimal, plain=True, most=most, zero=True)


def _decimal(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text):
        raise UsageError("")
    return float(text)


class Signal(Value):
    kind = "signal"
    expected = 'a signal like "TERM"'

    def parse(self, raw: Any) -> int | None:
        return signal_number(raw) if isinstance(raw, str) else WRONG


class Mode(Value):
    kind = "mode"
    expected = 'permissions like "0600"'

    def parse(self, raw: Any) -> int | None:
        return int(raw, 8) if isinstance(raw, str) and re.fullmatch(r"0?[0-7]{3}", raw) else WRONG

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^0?[0-7]{{3}}$|{_VARIABLE}"}


class Host(Value):
    kind = "host"
    expected = 'a host like "example.org", "*.example.org" or "example.org:8443"'

    def parse(self, raw: Any) -> str | None:
        try:
            hosts.read(raw if isinstance(raw, str) else "")
        except ValueError as error:
            raise UsageError("", hint=str(error)) from None
        return str(raw)


class Command(Value):
    """Words to run. A text is parted as a shell parts it, and no shell runs it; for a `hook` one does."""

    def __init__(self, *, hook: bool = False) -> None:
        self.hook = hook
        self.kind = "line for sh, or list of words" if hook else "words"
        self.expected = (
            'a line for the shell, or a list of words like ["make", "db"]'
            if hook
            else 'words like "python app.py", or a list of them'
        )

    def parse(self, raw: Any) -> list[str] | None:
        if isinstance(raw, list):
            good = raw and all(isinstance(word, str) and "\0" not in word for word in raw) and raw[0]
            return list(raw) if good else WRONG
        if not isinstance(raw, str) or not raw.strip() or "\0" in raw:
            return WRONG
        if self.hook:
            return ["sh", "-c", raw]
        try:
            words = shlex.split(raw)
        except ValueError as error:
            raise UsageError("", hint=f"{str(error).lower()}: a quotation mark has no other one") from error
        return words if words and words[0] else WRONG

    def schema(self) -> Schema:
        return {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }


def shown(raw: Any) -> str:
    """A value as it stands in the file, cut."""
    if isinstance(raw, dict):
        return "a table"
    try:
        text = json.dumps(raw, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(raw)  # a date
    return text if len(text) <= 60 else text[:60] + "…"


def type_word(raw: Any) -> str:
    match raw:
        case bool():
            return "true or false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time"
