"""[[ expression ]]: words are not split, patterns stand on the right of = and !=, < and > compare text."""

from __future__ import annotations

from aish.lang.assignments import Assignments
from aish.lang.lexer import END, NEWLINE, OPERATOR, WORD, Token
from aish.lang.scanner import KEYWORD
from aish.lang.tree import Test, TestBinary, TestGroup, TestJoin, TestNot, TestUnary, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.tree import Node

UNARY = frozenset("-" + letter for letter in "abcdefghknoprstuvwxzGLNORS")
BINARY = frozenset(["=", "==", "!=", "=~", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"])


class Conditions(Assignments):
    """Recursive descent over ! && || ( ) inside the double brackets."""

    def test_command(self) -> Test:
        """The command whose `[[` is under the eye; `]]` is consumed."""
        start = self.tok.start
        self.mark(start, self.tok.end, KEYWORD)
        self.advance()
        expression = self._or()
        if self.tok.text != "]]":
            self.unexpected("']]'")
        self.mark(self.tok.start, self.tok.end, KEYWORD)
        self.advance()
        return Test(start, expression)

    def skip_newlines(self) -> None:
        while self.tok.kind is NEWLINE:
            self.advance()

    def _or(self) -> Node:
        left = self._and()
        while self.tok.kind is OPERATOR and self.tok.text == "||":
            self.advance()
            right = self._and()
            left = TestJoin(left.start, right.end, "||", left, right)
        return left

    def _and(self) -> Node:
        left = self._term()
        while self.tok.kind is OPERATOR and self.tok.text == "&&":
            self.advance()
            right = self._term()
            left = TestJoin(left.start, right.end, "&&", left, right)
        return left

    def _term(self) -> Node:
        self.skip_newlines()
        tok = self.tok
        self.enter(tok.start)
        if tok.text == "!":
            self.advance()
            inner = self._term()
            node: Node = TestNot(tok.start, inner.end, inner)
        elif tok.kind is OPERATOR and tok.text == "(":
            self.advance()
            inner = self._or()
            if self.tok.text != ")":
                self.unexpected("')'")
            node = TestGroup(tok.start, self.tok.end, inner)
            self.advance()
        else:
            node = self._comparison()
        self.depth -= 1
        self.skip_newlines()
        return node

    def _operand(self) -> Word:
        word = self.tok.word
        if word is None or self.tok.text == "]]":
            self.unexpected("an operand of [[")
        self.advance()
        return word

    def _comparison(self) -> Node:
        first = self.tok
        left = self._operand()
        tok = self.tok
        if first.text in UNARY and tok.kind is WORD and tok.text not in BINARY and tok.text != "]]":
            operand = self._operand()
            return TestUnary(first.start, operand.end, first.text, operand)
        if (tok.kind is WORD and tok.text in BINARY) or (tok.kind is OPERATOR and tok.text in ("<", ">")):
            if tok.text == "=~":
                self._regex_token()
            else:
                extended, self.extended = self.extended, True
                self.advance()
                self.extended = extended
            right = self._operand()
            return TestBinary(left.start, right.end, tok.text, left, right)
        if tok.kind is WORD and tok.text != "]]":
            self.unexpected("an operator of [[")
        if first.text in UNARY and tok.kind is WORD:
            self.unexpected(f"an operand of {first.text}")
        return TestUnary(left.start, left.end, "-n", left)

    def _regex_token(self) -> None:
        """A regular expression is one word although it holds ( ) | and the like; it ends at a blank."""
        self._blanks()
        start = self.pos
        parts = self.regex_parts()
        if not parts:
            self.tok = Token(END if not self.char() else NEWLINE, start, start, "")
            self.unexpected("a regular expression")
        self.tok = Token(WORD, start, self.pos, "", Word(start, self.pos, parts))
