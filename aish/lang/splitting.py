"""From the pieces of an expanded word to its fields: splitting by IFS, pathname expansion, quote removal."""

from __future__ import annotations

from aish.lang.control import CommandError
from aish.lang.fields import BREAK, DEFAULT_IFS, LITERAL, OPENING, QUOTED
from aish.lang.pattern import escape
from aish.lang.text import spread, together

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.error import AishError
    from aish.lang.fields import Piece
    from aish.lang.runtime import Runtime


def build(rt: Runtime, pieces: list[Piece]) -> list[str]:
    """The fields of one word."""
    fields = Fields(rt)
    for kind, text in pieces:
        if kind == QUOTED:
            fields.quoted(text)
        elif kind == LITERAL:
            fields.unquoted(text)
        elif kind == OPENING:
            fields.spaced = not fields.exists
        elif kind != BREAK:
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
        elif text.isascii() or not rt.locale.bytewise:
            self._split_by(text, rt.separators, rt.blanks, self.unquoted)
        else:
            self._split_by(spread(text), rt.separators, rt.blanks, lambda part: self.unquoted(together(part)))

    def _split_default(self, text: str) -> None:
        """IFS is space, tab, newline: runs of them separate, and str.split does it."""
        pieces = text.replace("\t", " ").replace("\n", " ").split(" ")
        self.unquoted(pieces[0])
        for piece in pieces[1:]:
            if self.exists:
                self.finish()
            self.unquoted(piece)

    def _split_by(
        self, text: str, separators: frozenset[str], blanks: frozenset[str], add: Callable[[str], None]
    ) -> None:
        begin = 0
        for pos, char in enumerate(text):
            if char not in separators:
                continue
            add(text[begin:pos])
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
        add(text[begin:])


def no_match(rt: Runtime, text: str) -> AishError:
    """The error of `shopt -s failglob`."""
    from aish.lang.source import ExpansionError

    site = rt.at
    if site is None:
        return CommandError(f"no match: {text}")
    return ExpansionError(f"no match: {text}", site.source, site.start, site.end)
