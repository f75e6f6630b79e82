"""The text of a pattern to its elements: characters, sets, stars, groups."""

from __future__ import annotations

from aish.lang.pattern import BYTES, EXTENDED, FOLDED
from aish.lang.pattern_match import STAR, CharSet, Group
from aish.lang.text import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Element = str | CharSet | Group | None

_GROUPS = frozenset("?*+@!")
MAX_GROUPS = 100
"""Groups within each other; deeper ones are text."""

_CLASSES: dict[str, Callable[[str], bool]] = {
    "alpha": str.isalpha,
    "digit": lambda char: "0" <= char <= "9",
    "alnum": lambda char: char.isalpha() or "0" <= char <= "9",
    "upper": str.isupper,
    "lower": str.islower,
    "space": str.isspace,
    "blank": lambda char: char in " \t",
    "punct": lambda char: char.isprintable() and not char.isalnum() and not char.isspace(),
    "print": lambda char: char.isprintable(),
    "graph": lambda char: char.isprintable() and not char.isspace(),
    "cntrl": lambda char: char < " " or "\x7f" <= char < "\xa0",
    "xdigit": lambda char: char in "0123456789abcdefABCDEF",
    "word": lambda char: char.isalpha() or "0" <= char <= "9" or char == "_",
    "ascii": lambda char: char <= "\x7f",
}
_NAMES = {
    "NUL": "\0", "alert": "\a", "backspace": "\b", "tab": "\t", "newline": "\n", "vertical-tab": "\v",
    "form-feed": "\f", "carriage-return": "\r", "space": " ", "exclamation-mark": "!", "quotation-mark": '"',
    "number-sign": "#", "dollar-sign": "$", "percent-sign": "%", "ampersand": "&", "apostrophe": "'",
    "left-parenthesis": "(", "right-parenthesis": ")", "asterisk": "*", "plus-sign": "+", "comma": ",",
    "hyphen": "-", "hyphen-minus": "-", "minus": "-", "dash": "-", "period": ".", "full-stop": ".", "slash": "/",
    "solidus": "/", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6",
    "seven": "7", "eight": "8", "nine": "9", "colon": ":", "semicolon": ";", "less-than-sign": "<",
    "equals-sign": "=", "greater-than-sign": ">", "question-mark": "?", "commercial-at": "@",
    "left-square-bracket": "[", "backslash": "\\", "reverse-solidus": "\\", "right-square-bracket": "]",
    "circumflex": "^", "circumflex-accent": "^", "underscore": "_", "low-line": "_", "grave-accent": "`",
    "left-brace": "{", "left-curly-bracket": "{", "vertical-line": "|", "right-brace": "}",
    "right-curly-bracket": "}", "tilde": "~", "DEL": "\x7f",
}  # fmt: skip
"""Collating elements that POSIX names."""


def octets(text: str) -> str:
    """Text with one character for each byte: what a locale without multibyte characters sees."""
    return text if text.isascii() else encode(text).decode("latin-1")


def from_octets(text: str) -> str:
    """The text that its bytes stand for."""
    return decode(text.encode("latin-1"))


def fold(text: str) -> str:
    """Text without case, as long as before."""
    low = text.lower()
    return low if len(low) == len(text) else "".join([c.lower() if len(c.lower()) == 1 else c for c in text])


def parse(pattern: str, flags: int = 0) -> list[Element]:
    """Elements: a character, a CharSet, a Group, or STAR."""
    if flags & BYTES:
        pattern = octets(pattern)
    return _Reader(pattern, flags).sequence("")


class _Reader:
    """Stands at `pos` in the pattern."""

    def __init__(self, pattern: str, flags: int) -> None:
        self.text = pattern
        self.flags = flags
        self.pos = 0
        self.depth = 0

    def sequence(self, stops: str) -> list[Element]:
        """Elements up to one of `stops`, or the end."""
        text, size = self.text, len(self.text)
        folded = self.flags & FOLDED
        elements: list[Element] = []
        while self.pos < size:
            char = text[self.pos]
            if char in stops:
                break
            self.pos += 1
            if char in _GROUPS and self.flags & EXTENDED and text[self.pos : self.pos + 1] == "(":
                group = self._group(char)
                if group is not None:
                    elements.append(group)
                    continue
            if char == "*":
                if not elements or elements[-1] is not STAR:
                    elements.append(STAR)
            elif char == "?":
                elements.append(CharSet(negated=True))
            elif char == "[":
                element = self._bracket()
                elements.append("[" if element is None else element)
            else:
                if char == "\\" and self.pos < size:
                    char = text[self.pos]
                    self.pos += 1
                elements.append(fold(char) if folded else char)
        return elements

    def _group(self, kind: str) -> Group | None:
        """The group whose ( is at `pos`; None, with `pos` unmoved, where it is not closed."""
        begin = self.pos
        self.depth += 1
        choices: list[list[Element]] = []
        while self.depth <= MAX_GROUPS:
            self.pos += 1
            choices.append(self.sequence("|)"))
            if self.text[self.pos : self.pos + 1] != "|":
                break
        self.depth -= 1
        if self.text[self.pos : self.pos + 1] != ")":
            self.pos = begin
            return None
        self.pos += 1
        return Group(kind, choices)

    def _bracket(self) -> CharSet | None:
        """The set behind a `[`; None, with `pos` unmoved, without a closing bracket: then `[` is a character."""
        begin = self.pos
        text = self.text
        chars = CharSet(text[begin : begin + 1] in ("!", "^") and begin < len(text))
        chars.folded = bool(self.flags & FOLDED)
        self.pos += chars.negated
        first = True
        while True:
            char = text[self.pos : self.pos + 1]
            if not char:
                self.pos = begin
                return None
            if char == "]" and not first:
                self.pos += 1
                return chars
            first = False
            low = self._member(chars)
            if low is None:
                continue
            if text[self.pos : self.pos + 1] == "-" and text[self.pos + 1 : self.pos + 2] not in ("", "]"):
                self.pos += 1
                high = self._member(chars)
                if high is not None:
                    chars.ranges.append((low, high))
            else:
                chars.chars.add(low)

    def _member(self, chars: CharSet) -> str | None:
        """The character at `pos`; None where a class stood there, or something that is no character."""
        text, pos = self.text, self.pos
        char = text[pos]
        if char == "[" and text[pos + 1 : pos + 2] in (":", ".", "=") and pos + 1 < len(text):
            mark = text[pos + 1]
            end = text.find(mark + "]", pos + 2)
            if end >= 0:
                self.pos = end + 2
                return self._named(chars, mark, text[pos + 2 : end].replace("\\", "") or "\\" * (end - pos - 2 > 0))
        self.pos += 1
        if char == "\\" and self.pos < len(text):
            self.pos += 1
            return text[pos + 1]
        return char

    def _named(self, chars: CharSet, mark: str, name: str) -> str | None:
        """[:class:], [.x.] or [=x=]."""
        if mark == ":":
            test = _CLASSES.get(name)
            if test is not None:
                chars.classes.append(_of_bytes(test) if self.flags & BYTES else test)
            return None
        if len(name) == 1:
            return name
        return _NAMES.get(name) if mark == "." else None


def _of_bytes(test: Callable[[str], bool]) -> Callable[[str], bool]:
    """A class of the C locale: no byte above 127 is in it."""
    return lambda char: char < "\x80" and test(char)
