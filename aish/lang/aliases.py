"""Aliases: a command word that is one is replaced in the text, before the grammar sees it.

The text that a parser reads is changed in place: what follows is read as if it had been written so. An alias is not
replaced inside its own text; behind one whose text ends in a blank, the next word is looked up too.
"""

from __future__ import annotations

from aish.lang.lexer import NEWLINE, WORD, Lexer, Token
from aish.lang.words import RESERVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aish.lang.source import Source

_MOST = 10_000
"""Replacements in one command. They cannot go on for ever, but double with each level."""


class Aliases(Lexer):
    """`aliases` is None where they are not expanded."""

    def __init__(self, source: Source, more: Callable[[], str] | None = None, *, posix: bool = False) -> None:
        super().__init__(source, more, posix=posix)
        self.aliases: Mapping[str, str] | None = None
        self._active: list[tuple[str, int]] = []
        """(name, where its text ends): no alias inside itself."""
        self._next_from: list[int] = []
        """The ends of texts that ended in a blank: the word behind each counts, too."""
        self._replaced = 0

    def changes_text(self, text: str) -> bool:
        return bool(self.aliases) or super().changes_text(text)

    def replace_alias(self, *, argument: bool = False) -> None:
        """With a token under the eye that may be a command's name: replace it until it is no alias. In posix mode a
        reserved word is none, where it is one: not as an argument."""
        while self.aliases and self.tok.kind is WORD and self.tok.text in self.aliases:
            if self.posix and not argument and self.tok.text in RESERVED:
                return
            if not self._replace(self.aliases[self.tok.text]):
                return

    def replace_argument(self) -> None:
        """With the word behind a replaced one under the eye."""
        if self.pass_by():
            self.replace_alias(argument=True)

    def pass_by(self) -> bool:
        """With what stands behind a replaced word under the eye, a redirection perhaps: whether that word's text
        ended in a blank. What comes behind it is looked up no more."""
        reached = [end for end in self._next_from if end <= self.tok.start]
        del self._next_from[: len(reached)]
        return bool(reached)

    def _replace(self, value: str) -> bool:
        tok = self.tok
        self._active = [(name, end) for name, end in self._active if tok.start < end]
        if any(name == tok.text for name, _ in self._active):
            return False
        self._replaced += 1
        if self._replaced > _MOST:
            self.fail(f"more than {_MOST} aliases in one command", tok.start, tok.end)
        if value[-1:].isdecimal() and self.char() in ("<", ">"):
            value += " "  # the digit is a word's, not a descriptor
        end = tok.start + len(value)
        shift = len(value) - (tok.end - tok.start)
        self._active = [(name, at + shift) for name, at in self._active] + [(tok.text, end)]
        self.source.replace(tok.start, tok.end, value)
        self.text = self.source.text
        self._next_from = [at + shift for at in self._next_from if at > tok.end]  # of texts that this word is in
        if value[-1:] in (" ", "\t") and value:
            self._next_from.insert(0, end)
        self.pos = tok.start
        self.tok = Token(NEWLINE, self.previous_end, self.previous_end, "")
        self.advance()
        return True

    def forget_aliases(self) -> None:
        """A new command begins, perhaps on a further line of an alias, whose text goes on then."""
        behind = self.tok.end
        self._active = [(name, end) for name, end in self._active if end > behind]
        self._next_from = [end for end in self._next_from if end > behind]
        self._replaced = 0
