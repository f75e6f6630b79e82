"""POSIX extended regular expressions ([[ x =~ y ]]) by way of Python's `re`, which is imported on first use only.

What differs in the notation is translated: brackets with their classes, anchors, intervals, repeated repetition.
POSIX takes the longest of all matches at the leftmost place, Python the first one that its alternatives find; for
an expression with alternatives the longest is looked for.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

_SPECIAL = frozenset("\\.[]()*+?{}|^$")
_CLASSES = {
    "alpha": r"[^\W\d_]", "digit": "[0-9]", "alnum": r"[^\W_]", "space": r"\s", "blank": r"[ \t]",
    "upper": "[A-Z\xc0-\xd6\xd8-\xde]", "lower": "[a-z\xdf-\xf6\xf8-\xff]", "xdigit": "[0-9A-Fa-f]",
    "punct": r"[!-/:-@\[-`{-~]", "cntrl": r"[\x00-\x1f\x7f]", "print": r"[^\x00-\x1f\x7f]",
    "graph": r"[^\x00-\x20\x7f]",
}  # fmt: skip
_ESCAPES = {
    "<": r"\b(?=\w)", ">": r"\b(?<=\w)", "`": r"\A", "'": r"\Z", "w": r"\w", "W": r"\W", "s": r"\s", "S": r"\S",
    "b": r"\b", "B": r"\B",
}  # fmt: skip
_MOST_REPEATS = 0x7FFF
_MOST_DEPTH = 200
_LONGEST_TEXT = 2_000
"""Characters up to which the longest match is looked for: it costs a try for each end."""


class RegexError(ValueError):
    """The text is no regular expression."""


def escape(text: str) -> str:
    """An expression that matches `text` alone: what was quoted."""
    if _SPECIAL.isdisjoint(text):
        return text
    return "".join(["\\" + char if char in _SPECIAL else char for char in text])


def joined(pieces: list[tuple[str, bool]]) -> str:
    """The expression that (text, whether it was quoted) make. Between [ and ] nothing needs an escape."""
    found = ""
    for text, quoted in pieces:
        found += escape(text) if quoted and not _in_bracket(found) else text
    return found


def _in_bracket(expression: str) -> bool:
    """Whether `expression` ends inside [..]."""
    pos, size = 0, len(expression)
    while pos < size:
        if expression[pos] == "\\":
            pos += 2
            continue
        if expression[pos] == "[":
            begin = pos + 1 + expression.startswith("^", pos + 1)
            pos = expression.find("]", begin + 1)
            if pos < 0:
                return True
        pos += 1
    return False


_cache: dict[tuple[str, bool], re.Pattern[str]] = {}
_CACHE_SIZE = 500


def search(expression: str, text: str, *, fold: bool = False) -> list[str] | None:
    """What matched, and what each group matched; None where nothing does. `fold`: in any case of letters. Raises
    RegexError."""
    found = _compiled(expression, fold)
    match = found.search(text)
    if match is None:
        return None
    if "|" in expression and "$" not in expression and len(text) <= _LONGEST_TEXT:
        for end in range(len(text), match.end(), -1):
            longer = found.fullmatch(text, match.start(), end)
            if longer is not None:
                match = longer
                break
    return [match.group(), *[group or "" for group in match.groups()]]


def _compiled(expression: str, fold: bool) -> re.Pattern[str]:
    found = _cache.get((expression, fold))
    if found is None:
        import re
        import warnings

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = re.compile(translate(expression), re.DOTALL | (re.IGNORECASE if fold else 0))
        except (re.error, OverflowError, RecursionError) as error:
            raise RegexError(str(error)) from None
        if len(_cache) >= _CACHE_SIZE:
            _cache.clear()
        _cache[expression, fold] = found
    return found


def translate(expression: str) -> str:
    """The same in Python's notation. Raises RegexError."""
    translator = _Translator(expression)
    found = translator.alternatives(0)
    if translator.pos < len(expression):
        raise RegexError("unmatched )")
    return found


class _Translator:
    """Recursive descent over the expression."""

    def __init__(self, expression: str) -> None:
        self.text = expression
        self.pos = 0

    def peek(self) -> str:
        return self.text[self.pos : self.pos + 1]

    def alternatives(self, depth: int) -> str:
        if depth > _MOST_DEPTH:
            raise RegexError(f"nested more than {_MOST_DEPTH} levels deep")
        branches = [self.branch(depth)]
        while self.peek() == "|":
            self.pos += 1
            branches.append(self.branch(depth))
        return "|".join(branches)

    def branch(self, depth: int) -> str:
        found: list[str] = []
        while self.peek() in ("*", "+", "?") and self.peek():  # nothing to repeat: they mean nothing
            self.pos += 1
        while True:
            char = self.peek()
            if not char or char == "|" or (char == ")" and depth):
                return "".join(found)
            found.append(self.repeated(self.atom(depth)))

    def atom(self, depth: int) -> str:
        char = self.peek()
        self.pos += 1
        if char == "(":
            inner = self.alternatives(depth + 1)
            if self.peek() != ")":
                raise RegexError("unmatched (")
            self.pos += 1
            return f"({inner})"
        if char == "[":
            return self.bracket()
        if char == "$":
            return r"(?:\Z)"
        if char == "^":
            return r"(?:\A)"
        if char == ".":
            return "."
        if char == "\\":
            return self.escaped()
        return _literal(char)

    def escaped(self) -> str:
        char = self.peek()
        if not char:
            raise RegexError("a backslash at the end")
        self.pos += 1
        if char in "123456789":
            return f"(?:\\{char})"
        return _ESCAPES.get(char) or _literal(char)

    def repeated(self, atom: str) -> str:
        """The atom with the * + ? {n,m} behind it, each of which repeats all before it."""
        times = 0
        while True:
            char = self.peek()
            if char in ("*", "+", "?") and char:
                self.pos += 1
                suffix = char
            elif char == "{":
                suffix = self.interval()
            else:
                return atom
            atom = f"(?:{atom}){suffix}" if times else atom + suffix
            times += 1
            if times > _MOST_DEPTH:
                raise RegexError("repeated too often")

    def interval(self) -> str:
        end = self.text.find("}", self.pos)
        if end < 0:
            raise RegexError("unmatched {")
        low, comma, high = self.text[self.pos + 1 : end].partition(",")
        self.pos = end + 1
        for bound in (low, high):
            if bound and not (bound.isdecimal() and bound.isascii() and int(bound) <= _MOST_REPEATS):
                raise RegexError("not a number of repetitions")
        if not low and not comma:
            raise RegexError("not a number of repetitions")
        return f"{{{low or 0}{comma}{high}}}"

    def bracket(self) -> str:
        """[..]: classes become alternatives, since Python's sets have none."""
        negated = self.peek() == "^"
        self.pos += negated
        members: list[str] = []
        choices: list[str] = []
        first = True
        while True:
            char = self.peek()
            if not char:
                raise RegexError("unmatched [")
            if char == "]" and not first:
                self.pos += 1
                break
            first = False
            if char == "[" and self.text[self.pos + 1 : self.pos + 2] == ":":
                choices.append(self.character_class())
                continue
            low = self.member()
            if self.peek() == "-" and self.text[self.pos + 1 : self.pos + 2] not in ("]", ""):
                self.pos += 1
                high = self.member()
                if high < low:
                    raise RegexError(f"the range {low}-{high} is empty")
                members.append(f"{_member(low)}-{_member(high)}")
            else:
                members.append(_member(low))
        if members:
            choices.append(f"[{''.join(members)}]")
        either = choices[0] if len(choices) == 1 else f"(?:{'|'.join(choices)})"
        return f"(?:(?!{either}).)" if negated else either

    def member(self) -> str:
        """A character, [.x.] or [=x=]."""
        char = self.peek()
        mark = self.text[self.pos + 1 : self.pos + 2]
        if char == "[" and mark in (".", "=") and mark:
            end = self.text.find(mark + "]", self.pos + 2)
            if end != self.pos + 3:
                raise RegexError("an unknown collating element")
            self.pos = end + 2
            return self.text[end - 1]
        self.pos += 1
        return char

    def character_class(self) -> str:
        end = self.text.find(":]", self.pos + 2)
        name = self.text[self.pos + 2 : end] if end >= 0 else ""
        if name not in _CLASSES:
            raise RegexError("an unknown character class")
        self.pos = end + 2
        return _CLASSES[name]


def _literal(char: str) -> str:
    return "\\" + char if char in _SPECIAL else char


def _member(char: str) -> str:
    return "\\" + char if char in "\\]^-[&~|" else char
