"""From the pieces of an expanded word to its fields: splitting by IFS, pathname expansion, quote removal.

A piece is (kind, text). What was quoted is neither split nor a pattern; what stood literally in the script is a
pattern but not split; what an unquoted expansion gave is both. BREAK separates the parameters of "$@".
"""

from __future__ import annotations

from aish.lang.control import CommandError
from aish.lang.pattern import escape, unescape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.errors import AishError
    from aish.lang.runtime import Runtime

    Piece = tuple[int, str]

QUOTED = 0
LITERAL = 1
SPLIT = 2
BREAK = 3

DEFAULT_IFS = frozenset(" \t\n")


def build(rt: Runtime, pieces: list[Piece]) -> list[str]:
    """The fields of one word."""
    fields = Fields(rt)
    for kind, text in pieces:
        if kind == QUOTED:
            fields.quoted(text)
        elif kind == LITERAL:
            fields.unquoted(text)
        elif kind == SPLIT:
            fields.split(text)
        else:
            fields.finish()
    fields.finish()
    return fields.done


def build_one(rt: Runtime, text: str) -> list[str]:
    """The fields of a word that is one unquoted expansion."""
    fields = Fields(rt)
    fields.split(text)
    fields.finish()
    return fields.done


def pattern_of(pieces: list[Piece]) -> str:
    """The pattern that a word is in `case`, [[ = ]] and ${x#word}."""
    return "".join([escape(text) if kind == QUOTED else text for kind, text in pieces])


class Fields:
    """Collects one word's fields. `exists` is False while nothing but unquoted emptiness was seen."""

    __slots__ = ("done", "exists", "magic", "patterns", "rt", "spaced", "texts")

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.done: list[str] = []
        self.texts: list[str] = []
        self.patterns: list[str] = []
        self.exists = False
        self.magic = False
        self.spaced = False
        """IFS white space ended the last field: one other separator still belongs to it."""

    def quoted(self, text: str) -> None:
        self.exists = True
        self.spaced = False
        self.texts.append(text)
        self.patterns.append(escape(text))

    def unquoted(self, text: str) -> None:
        if text:
            self.exists = True
            self.spaced = False
            self.texts.append(text)
            self.patterns.append(text)
            if not self.magic and not self.rt.magic.isdisjoint(text):
                self.magic = True

    def finish(self) -> None:
        """End the field, if there is one."""
        if self.exists:
            text = "".join(self.texts)
            if self.magic and not self.rt.noglob:
                self._expand("".join(self.patterns), text)
            else:
                self.done.append(text)
            self.exists = self.magic = False
            self.texts.clear()
            self.patterns.clear()
        self.spaced = False

    def _expand(self, pattern: str, text: str) -> None:
        """Add the files that match, or what the options say where there are none."""
        from aish.lang.glob import expand
        from aish.lang.pattern import is_magic

        if not is_magic(pattern, "extglob" in self.rt.shopt):
            self.done.append(text)
            return
        found = expand(self.rt, pattern)
        if found:
            self.done.extend(found)
        elif "failglob" in self.rt.shopt:
            raise no_match(self.rt, text)
        elif "nullglob" not in self.rt.shopt:
            self.done.append(text)

    def split(self, text: str) -> None:
        """Add an expansion's result, ending fields at the characters of IFS."""
        rt = self.rt
        if rt.separators.isdisjoint(text):
            self.unquoted(text)
        elif rt.separators is DEFAULT_IFS:
            self._split_default(text)
        else:
            self._split_by(text, rt.separators, rt.blanks)

    def _split_default(self, text: str) -> None:
        """IFS is space, tab, newline: runs of them separate, and str.split does it."""
        pieces = text.replace("\t", " ").replace("\n", " ").split(" ")
        self.unquoted(pieces[0])
        for piece in pieces[1:]:
            if self.exists:
                self.finish()
            self.unquoted(piece)

    def _split_by(self, text: str, separators: frozenset[str], blanks: frozenset[str]) -> None:
        begin = 0
        for pos, char in enumerate(text):
            if char not in separators:
                continue
            self.unquoted(text[begin:pos])
            begin = pos + 1
            if char in blanks:
                if self.exists:
                    self.finish()
                    self.spaced = True
            elif self.spaced:
                self.spaced = False
            else:
                self.exists = True
                self.finish()
        self.unquoted(text[begin:])


def no_match(rt: Runtime, text: str) -> AishError:
    """The error of `shopt -s failglob`."""
    from aish.lang.source import ExpansionError

    site = rt.at
    if site is None:
        return CommandError(f"no match: {text}")
    return ExpansionError(f"no match: {text}", site.source, site.start, site.end)


def split_read(text: str, separators: frozenset[str], blanks: frozenset[str], count: int) -> list[str]:
    """The fields that `read` assigns to `count` names; the last takes the rest of the line.

    `text` is a pattern in the sense of this module: backslash-escaped characters do not separate.
    """
    found: list[str] = []
    pos, size = 0, len(text)
    while pos < size and text[pos] in blanks:
        pos += 1
    while pos < size and len(found) < count - 1:
        end = _field_end(text, pos, separators)
        found.append(unescape(text[pos:end]))
        pos = end
        while pos < size and text[pos] in blanks:
            pos += 1
        if pos < size and text[pos] in separators and text[pos] not in blanks:
            pos += 1
            while pos < size and text[pos] in blanks:
                pos += 1
    if pos < size:
        found.append(_rest(text[pos:], separators, blanks))
    return found + [""] * (count - len(found))


def _field_end(text: str, pos: int, separators: frozenset[str]) -> int:
    size = len(text)
    while pos < size and text[pos] not in separators:
        pos += 2 if text[pos] == "\\" else 1
    return min(pos, size)


def _rest(text: str, separators: frozenset[str], blanks: frozenset[str]) -> str:
    """The last name's share: trailing blanks go, and so does a separator that ends the only field."""
    end = _field_end(text, 0, separators)
    tail = end
    while tail < len(text) and text[tail] in blanks:
        tail += 1
    if tail < len(text) and text[tail] in separators and text[tail] not in blanks:
        tail += 1
        while tail < len(text) and text[tail] in blanks:
            tail += 1
    if tail >= len(text):
        return unescape(text[:end])
    keep = len(text)
    while keep and text[keep - 1] in blanks and not _escaped(text, keep - 1):
        keep -= 1
    return unescape(text[:keep])


def _escaped(text: str, pos: int) -> bool:
    """Whether an odd number of backslashes stands before `pos`."""
    count = 0
    while pos > 0 and text[pos - 1] == "\\":
        count += 1
        pos -= 1
    return count % 2 == 1
