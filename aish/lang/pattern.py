"""Shell patterns: * ? [..], matched without `re` and in time linear in text times pattern.

A pattern is text in which a backslash takes the next character's meaning away; expansions put one before every
quoted character that could have a meaning.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STAR = None
"""The element for `*`."""

_SPECIAL = frozenset("\\*?[]!^-:.=")
_MAGIC = frozenset("*?[")
_CACHE_SIZE = 2000

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
    "graph": lambda char: char.isprintable() and char != " ",
    "cntrl": lambda char: char < " " or char == "\x7f",
    "xdigit": lambda char: char in "0123456789abcdefABCDEF",
}


class CharSet:
    """[..], or `?` as the negation of nothing."""

    __slots__ = ("chars", "classes", "negated", "ranges")

    def __init__(self, negated: bool = False) -> None:
        self.chars: set[str] = set()
        self.ranges: list[tuple[str, str]] = []
        self.classes: list[Callable[[str], bool]] = []
        self.negated = negated

    def __contains__(self, char: str) -> bool:
        found = (
            char in self.chars
            or any(low <= char <= high for low, high in self.ranges)
            or any(test(char) for test in self.classes)
        )
        return found != self.negated


if TYPE_CHECKING:
    Element = str | CharSet | None


class Pattern:
    """A compiled pattern. `literal` is its text where nothing in it is special."""

    __slots__ = ("elements", "head", "literal", "simple", "tail")

    def __init__(self, pattern: str) -> None:
        self.elements = parse(pattern)
        stars = self.elements.count(STAR)
        at = self.elements.index(STAR) if stars else len(self.elements)
        head, tail = self.elements[:at], self.elements[at + 1 :]
        plain = all(type(element) is str for element in (*head, *tail))
        self.literal: str | None = "".join(map(str, head)) if plain and not stars else None
        self.simple = plain and stars == 1
        """Exactly one `*` among plain characters: head*tail."""
        self.head = "".join(map(str, head)) if self.simple else ""
        self.tail = "".join(map(str, tail)) if self.simple else ""

    def matches(self, text: str) -> bool:
        """Whether all of `text` matches."""
        if self.literal is not None:
            return text == self.literal
        if self.simple:
            head, tail = self.head, self.tail
            return len(text) >= len(head) + len(tail) and text.startswith(head) and text.endswith(tail)
        return _matches(self.elements, text)

    def without_prefix(self, text: str, longest: bool) -> str:
        """`text` less its shortest or longest beginning that matches."""
        if self.literal is not None:
            return text.removeprefix(self.literal)
        if self.simple and not self.head:
            return self._after_tail(text, longest)
        ends = _ends(self.elements, text)
        if longest:
            return text[max(ends, default=0) :]
        return text[next(ends, 0) :]

    def _after_tail(self, text: str, longest: bool) -> str:
        """For *tail."""
        if not self.tail:
            return "" if longest else text
        at = text.rfind(self.tail) if longest else text.find(self.tail)
        return text if at < 0 else text[at + len(self.tail) :]

    def without_suffix(self, text: str, longest: bool) -> str:
        """`text` less its shortest or longest end that matches."""
        if self.literal is not None:
            return text.removesuffix(self.literal)
        if self.simple and not self.tail:
            if not self.head:
                return "" if longest else text
            at = text.find(self.head) if longest else text.rfind(self.head)
            return text if at < 0 else text[:at]
        ends = _ends(self.elements[::-1], text[::-1])
        cut = max(ends, default=0) if longest else next(ends, 0)
        return text[: len(text) - cut]

    def longest(self, text: str, pos: int) -> int:
        """How long the longest match is that begins at `pos`; -1 where there is none."""
        first = self.elements[0] if self.elements else ""
        if type(first) is str and not text.startswith(first, pos):
            return -1
        return max(_ends(self.elements, text[pos:]), default=-1)


_cache: dict[str, Pattern] = {}


def compiled(pattern: str) -> Pattern:
    """The Pattern for `pattern`, from a cache."""
    found = _cache.get(pattern)
    if found is None:
        if len(_cache) >= _CACHE_SIZE:
            _cache.clear()
        found = _cache[pattern] = Pattern(pattern)
    return found


def escape(text: str) -> str:
    """A pattern that matches `text` and nothing else."""
    if _SPECIAL.isdisjoint(text):
        return text
    return "".join(["\\" + char if char in _SPECIAL else char for char in text])


def unescape(pattern: str) -> str:
    """The text that a pattern without magic stands for."""
    if "\\" not in pattern:
        return pattern
    found: list[str] = []
    chars = iter(pattern)
    for char in chars:
        found.append(next(chars, "\\") if char == "\\" else char)
    return "".join(found)


def is_magic(pattern: str) -> bool:
    """Whether an unescaped * or ? is in `pattern`, or a [ with a ] behind it."""
    if _MAGIC.isdisjoint(pattern):
        return False
    pos, size = 0, len(pattern)
    while pos < size:
        char = pattern[pos]
        if char in _MAGIC and (char != "[" or "]" in pattern[pos + 1 :]):
            return True
        pos += 2 if char == "\\" else 1
    return False


# ------------------------------------------------------------------------------------------- parsing


def parse(pattern: str) -> list[Element]:
    """Elements: a character, a CharSet, or STAR."""
    elements: list[Element] = []
    pos = 0
    size = len(pattern)
    while pos < size:
        char = pattern[pos]
        pos += 1
        if char == "*":
            if not elements or elements[-1] is not STAR:
                elements.append(STAR)
        elif char == "?":
            elements.append(CharSet(negated=True))
        elif char == "[":
            found = _bracket(pattern, pos)
            if found is None:
                elements.append("[")
            else:
                element, pos = found
                elements.append(element)
        elif char == "\\" and pos < size:
            elements.append(pattern[pos])
            pos += 1
        else:
            elements.append(char)
    return elements


def _bracket(pattern: str, pos: int) -> tuple[CharSet, int] | None:
    """The set behind a `[`, and where it ends; None without a closing bracket: then `[` is a character."""
    chars = CharSet(pattern[pos : pos + 1] in ("!", "^"))
    pos += chars.negated
    first = True
    while True:
        char = pattern[pos : pos + 1]
        if not char:
            return None
        if char == "]" and not first:
            return chars, pos + 1
        first = False
        if char == "[" and pattern[pos + 1 : pos + 2] in (":", ".", "="):
            special = _named(pattern, pos, chars)
            if special is None:
                low, pos = char, pos + 1
            else:
                name, pos = special
                if not name:
                    continue
                low = name
        else:
            low, pos = _member(pattern, pos)
        if pattern[pos : pos + 1] == "-" and pattern[pos + 1 : pos + 2] not in ("", "]"):
            high, pos = _member(pattern, pos + 1)
            chars.ranges.append((low, high))
        else:
            chars.chars.add(low)


def _member(pattern: str, pos: int) -> tuple[str, int]:
    if pattern[pos] == "\\" and pos + 1 < len(pattern):
        return pattern[pos + 1], pos + 2
    return pattern[pos], pos + 1


def _named(pattern: str, pos: int, chars: CharSet) -> tuple[str, int] | None:
    """[:class:], [.x.] or [=x=] at `pos`: (the character, or '' after a class; where it ends)."""
    mark = pattern[pos + 1]
    end = pattern.find(mark + "]", pos + 2)
    if end < 0:
        return None
    name = pattern[pos + 2 : end]
    if mark != ":":
        return name[:1] or mark, end + 2
    test = _CLASSES.get(name)
    if test is not None:
        chars.classes.append(test)
    return "", end + 2


# ------------------------------------------------------------------------------------------ matching


def _matches(elements: list[Element], text: str) -> bool:
    """Greedy with one step back: to the last star, a character further on."""
    at = pos = 0
    star = star_pos = -1
    count, size = len(elements), len(text)
    while pos < size:
        element = elements[at] if at < count else ""
        if element is STAR:
            star, star_pos = at, pos
            at += 1
        elif element and text[pos] in element:
            at += 1
            pos += 1
        elif star >= 0:
            star_pos += 1
            at, pos = star + 1, star_pos
        else:
            return False
    return all(element is STAR for element in elements[at:])


def _ends(elements: list[Element], text: str) -> Iterator[int]:
    """Every length n, ascending, for which text[:n] matches: all states of the pattern at once."""
    count = len(elements)
    states = _close(elements, {0})
    if count in states:
        yield 0
    for pos, char in enumerate(text):
        step: set[int] = set()
        for state in states:
            if state == count:
                continue
            element = elements[state]
            if element is STAR:
                step.add(state)
            elif char in element:
                step.add(state + 1)
        if not step:
            return
        states = _close(elements, step)
        if count in states:
            yield pos + 1


def _close(elements: list[Element], states: set[int]) -> set[int]:
    """`states` and those that a star lets through without a character."""
    for state in list(states):
        while state < len(elements) and elements[state] is STAR:
            state += 1
            states.add(state)
    return states
