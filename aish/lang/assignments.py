"""Assignments to arrays: name[subscript]=value, and name=( .. ).

An ordinary lexer has read `name[` as the beginning of a word. Where an assignment may stand, the word is read
again, because a subscript may hold blanks.
"""

from __future__ import annotations

from aish.lang.aliases import Aliases
from aish.lang.lexer import NEWLINE, OPERATOR, WORD, Token
from aish.lang.name_value import split_assignment
from aish.lang.scanner import ARGUMENT, ASSIGNMENT
from aish.lang.text import is_name, quote_end
from aish.lang.tree import ArrayElement, ArrayLiteral, Literal, Target, Word
from aish.lang.words import WORD_STOPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from aish.lang.tree import Assign

DECLARING = frozenset(["declare", "typeset", "local", "export", "readonly"])
"""Built-ins whose arguments may be assignments: they are expanded so, and may hold ( )."""
TAKING_TEXT = frozenset(["eval", "let"])
"""Built-ins whose arguments may hold name=( ), too, but as text: `eval local words=($text)`."""


class Assignments(Aliases):
    """Words that assign."""

    def unexpected(self, wanted: str) -> NoReturn:
        """Raise the ParseError for the token under the eye."""
        raise NotImplementedError

    def assignment(self, tok: Token) -> Assign | None:
        """The assignment that the word `tok`, which is under the eye, begins; it is consumed then, with the ( )
        behind its =. None, with nothing consumed, where it is another word."""
        assert tok.word is not None
        first = tok.word.parts[0] if tok.word.parts else None
        if type(first) is not Literal:
            return None
        if "[" in first.text:
            self._subscripted(tok, first.text)
            assert tok.word is not None
        found = split_assignment(tok.word, deep=True)
        if found is None:
            return None
        self.advance()
        if self.tok.text == "(" and self.tok.kind is OPERATOR and self.tok.start == tok.end and not found.value.parts:
            literal = self._array()
            found.value = Word(literal.start, literal.end, [literal])
            found.end = literal.end
        return found

    def list_as_text(self, tok: Token) -> Word | None:
        """name=( .. ) as an ordinary word, blanks and all; the word `tok`, which is under the eye, begins it, and it
        is consumed. None, with nothing consumed, where it is another word."""
        assert tok.word is not None
        if self.char() != "(" or tok.text[-1:] != "=":
            return None
        found = split_assignment(tok.word)
        if found is None or found.value.parts:
            return None
        self.mark(tok.start, tok.start + len(found.name), ASSIGNMENT)
        word = Word(tok.start, self.pos, [*tok.word.parts, *self.grouped_parts(WORD_STOPS)])
        word.end = self.pos
        self.advance()
        return word

    def _subscripted(self, tok: Token, text: str) -> None:
        """Read `tok` again as name[subscript]=value, if it is one."""
        name, bracket, _ = text.partition("[")
        if bracket and is_name(name):
            self._reread(tok, name)

    def _reread(self, tok: Token, name: str) -> None:
        """Read the word `tok` again from its start: name[subscript]=value, where `name` may be ''. If it is none,
        all is as before."""
        end = self.pos
        marks = None if self.marks is None else self.marks.copy()
        self.pos = tok.start + len(name)
        if self.marks is not None:
            self.marks = [mark for mark in self.marks if mark[0] < tok.start]
        target = self._target(tok.start, name)
        if target is None:
            self.pos = end
            self.marks = marks
            return
        parts = [target, *self.unquoted_parts(WORD_STOPS)]
        tok.end = self.pos
        tok.text = ""
        tok.word = Word(tok.start, self.pos, parts)
        self.tok = tok

    def _target(self, start: int, name: str) -> Target | None:
        """[subscript]= or [subscript]+= at the cursor; None where something else is there."""
        if not self._closes_here():
            return None
        index = self.subscript()
        append = self.char() == "+" and self.char(1) == "="
        if self.char() != "=" and not append:
            return None
        self.pos += 1 + append
        return Target(start, self.pos, name, index, append)

    def _closes_here(self) -> bool:
        """Whether the bracket at the cursor is closed, and followed by a =, before the line ends outside quotes.
        Only a look at the characters: what stands in them is read afterwards."""
        self.find("\n", self.pos)  # so that the line is here
        text, size = self.text, len(self.text)
        pos, level = self.pos, 0
        while pos < size:
            char = text[pos]
            if char == "\\":
                pos += 1
            elif char in "'\"":
                pos = quote_end(text, pos)
            elif char == "\n":
                return False
            elif char == "[":
                level += 1
            elif char == "]":
                level -= 1
                if not level:
                    return text.startswith(("=", "+="), pos + 1)
            pos += 1
        return False

    # ---------------------------------------------------------------------------------------- ( .. )

    def _array(self) -> ArrayLiteral:
        """The elements between the parentheses, of which the first is under the eye."""
        start = self.tok.start
        self.enter(start)
        items: list[ArrayElement] = []
        self.advance()
        while True:
            tok = self.tok
            if tok.kind is NEWLINE:
                self.advance()
            elif tok.kind is OPERATOR and tok.text == ")":
                break
            elif tok.word is not None and tok.kind is WORD:
                items.append(self._element(tok))
            else:
                self.unexpected("an element or ')'")
        end = tok.end
        self.depth -= 1
        self.advance()
        return ArrayLiteral(start, end, items)

    def _element(self, tok: Token) -> ArrayElement:
        assert tok.word is not None
        first = tok.word.parts[0] if tok.word.parts else None
        if type(first) is Literal and first.text[0] == "[":
            self._reread(tok, "")
        word = tok.word
        assert word is not None
        self.mark(tok.start, tok.end, ARGUMENT)
        self.advance()
        target = word.parts[0] if word.parts else None
        if type(target) is not Target:
            return ArrayElement(tok.start, tok.end, word, False, None)
        value = split_assignment(word)
        assert value is not None
        return ArrayElement(tok.start, tok.end, value.value, target.append, target.index)
