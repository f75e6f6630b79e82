"""A compiled pattern: whole texts, and the ends of a text that match.

It follows the dialect (see pattern) of the process, unless it was made for one of its own.
"""

from __future__ import annotations

from aish.lang import pattern as language
from aish.lang import pattern_match as match
from aish.lang.pattern import BYTES, FOLDED
from aish.lang.pattern_match import STAR
from aish.lang.pattern_parse import fold, octets, parse
from aish.lang.text import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.pattern_parse import Element


class Pattern:
    """A compiled pattern. `literal` is its text where nothing in it is special.

    `extra` are flags beside those of the dialect; `fixed` is a dialect of its own, which nothing changes.
    """

    __slots__ = ("elements", "extra", "fixed", "flags", "grouped", "head", "literal", "simple", "tail", "text")

    def __init__(self, pattern: str, extra: int = 0, *, fixed: int | None = None) -> None:
        self.text = pattern
        self.extra = extra
        self.fixed = fixed
        self.renew()

    def renew(self) -> None:
        """Compile it under the present dialect."""
        self.flags = flags = language.dialect | self.extra if self.fixed is None else self.fixed
        elements: list[Element] = parse(self.text, flags)
        self.elements = elements
        self.grouped = any(type(element) is match.Group for element in elements)
        stars = elements.count(STAR)
        at = elements.index(STAR) if stars else len(elements)
        head, tail = elements[:at], elements[at + 1 :]
        plain = not flags & FOLDED and all(type(element) is str for element in (*head, *tail))
        if flags & BYTES and plain:
            plain = self.text.isascii()
        self.literal: str | None = "".join(map(str, head)) if plain and not stars else None
        self.simple = plain and stars == 1
        """Exactly one `*` among plain characters: head*tail."""
        self.head = "".join(map(str, head)) if self.simple else ""
        self.tail = "".join(map(str, tail)) if self.simple else ""

    def _stale(self) -> bool:
        return self.fixed is None and self.flags != language.dialect | self.extra

    def matches(self, text: str) -> bool:
        """Whether all of `text` matches."""
        if self.flags != language.dialect | self.extra and self.fixed is None:
            self.renew()
        if self.literal is not None:
            return text == self.literal
        if self.simple:
            head, tail = self.head, self.tail
            return len(text) >= len(head) + len(tail) and text.startswith(head) and text.endswith(tail)
        text = self.seen(text)
        if self.grouped:
            return len(text) in match.grouped_ends(self.elements, text, 0)
        return match.matches(self.elements, text)

    def matches_name(self, name: str) -> bool:
        """Like `matches`, for a file's name that begins with a dot: only a dot in the pattern matches that one."""
        text = self.seen(name)
        return len(text) in match.grouped_ends(self.elements, text, 0, period=True)

    def seen(self, text: str) -> str:
        """`text` as the elements see it."""
        if self.flags & BYTES:
            text = octets(text)
        return fold(text) if self.flags & FOLDED else text

    def _exact(self) -> Pattern:
        """This pattern for trimming and replacing, where `nocasematch` does not count."""
        if self._stale():
            self.renew()
        if not self.flags & FOLDED:
            return self
        return Pattern(self.text, fixed=self.flags & ~FOLDED)

    def longest(self, text: str, pos: int) -> int:
        """How long the longest match is that begins at `pos`; -1 where there is none."""
        if self._stale():
            self.renew()
        first = self.elements[0] if self.elements else ""
        if type(first) is str and not self.flags and not text.startswith(first, pos):
            return -1
        seen = self.seen(text[pos:])
        if self.grouped:
            end = max(match.grouped_ends(self.elements, seen, 0), default=-1)
        else:
            end = max(match.ends(self.elements, seen), default=-1)
        return end if end < 0 or len(seen) == len(text) - pos else len(decode(encode(text[pos:])[:end]))

    def without_prefix(self, text: str, longest: bool, *, folded: bool = False) -> str:
        """`text` less its shortest or longest beginning that matches. `folded`: as `nocasematch` has it."""
        exact = self if folded else self._exact()
        if exact.literal is not None:
            return text.removeprefix(exact.literal)
        if exact.simple and not exact.head:
            return exact.after_tail(text, longest)
        seen = exact.seen(text)
        if exact.grouped:
            ends = match.grouped_ends(exact.elements, seen, 0)
            cut = max(ends, default=0) if longest else min(ends, default=0)
        elif longest:
            cut = max(match.ends(exact.elements, seen), default=0)
        else:
            cut = next(match.ends(exact.elements, seen), 0)
        return text[cut:] if len(seen) == len(text) else decode(encode(text)[cut:])

    def after_tail(self, text: str, longest: bool) -> str:
        """For *tail."""
        if not self.tail:
            return "" if longest else text
        at = text.rfind(self.tail) if longest else text.find(self.tail)
        return text if at < 0 else text[at + len(self.tail) :]

    def without_suffix(self, text: str, longest: bool, *, folded: bool = False) -> str:
        """`text` less its shortest or longest end that matches. `folded`: as `nocasematch` has it."""
        exact = self if folded else self._exact()
        if exact.literal is not None:
            return text.removesuffix(exact.literal)
        if exact.simple and not exact.tail:
            if not exact.head:
                return "" if longest else text
            at = text.find(exact.head) if longest else text.rfind(exact.head)
            return text if at < 0 else text[:at]
        seen = exact.seen(text)
        keep = len(seen) - exact.suffix(seen, longest)
        return text[:keep] if len(seen) == len(text) else decode(encode(text)[:keep])

    def suffix(self, seen: str, longest: bool) -> int:
        """The length of the end that matches; 0 where none does."""
        if not self.grouped:
            ends = match.ends(self.elements[::-1], seen[::-1])
            return max(ends, default=0) if longest else next(ends, 0)
        size = len(seen)
        for begin in range(size + 1) if longest else range(size, -1, -1):
            if size in match.grouped_ends(self.elements, seen, begin):
                return size - begin
        return 0
