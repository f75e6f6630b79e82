"""[[ expression ]]: words are not split, patterns stand on the right of = and !=, < and > compare text.

Recursive descent over ! && || ( ) inside the double brackets; apart from the parser, since most scripts have none.
"""

from __future__ import annotations

from aish.lang.lexer import END, NEWLINE, OPERATOR, WORD, Token
from aish.lang.name_value import find_tilde
from aish.lang.scanner import KEYWORD
from aish.lang.tree import Word
from aish.lang.tree_bash import Test
from aish.lang.tree_conditions import TestBinary, TestGroup, TestJoin, TestNot, TestUnary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.compounds import Compounds
    from aish.lang.tree import Node

UNARY = frozenset("-" + letter for letter in "abcdefghknoprstuvwxzGLNORS")
BINARY = frozenset(["=", "==", "!=", "=~", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"])


def test_command(parser: Compounds) -> Test:
    """The command whose `[[` is under the eye; `]]` is consumed."""
    start = parser.tok.start
    parser.mark(start, parser.tok.end, KEYWORD)
    parser.advance()
    expression = _or(parser)
    if parser.tok.text != "]]":
        parser.unexpected("']]'")
    parser.mark(parser.tok.start, parser.tok.end, KEYWORD)
    parser.advance()
    return Test(start, expression)


def _or(parser: Compounds) -> Node:
    return _joined(parser, "||", _and)


def _and(parser: Compounds) -> Node:
    return _joined(parser, "&&", _term)


def _joined(parser: Compounds, operator: str, part: Callable[[Compounds], Node]) -> Node:
    left = part(parser)
    while parser.tok.kind is OPERATOR and parser.tok.text == operator:
        parser.advance()
        right = part(parser)
        left = TestJoin(left.start, right.end, operator, left, right)
    return left


def _term(parser: Compounds) -> Node:
    parser.skip_newlines()
    tok = parser.tok
    parser.enter(tok.start)
    if tok.text == "!":
        parser.advance()
        inner = _term(parser)
        node: Node = TestNot(tok.start, inner.end, inner)
    elif tok.kind is OPERATOR and tok.text == "(":
        parser.advance()
        inner = _or(parser)
        if parser.tok.text != ")":
            parser.unexpected("')'")
        node = TestGroup(tok.start, parser.tok.end, inner)
        parser.advance()
    else:
        node = _comparison(parser)
    parser.depth -= 1
    parser.skip_newlines()
    return node


def _operand(parser: Compounds) -> Word:
    word = parser.tok.word
    if word is None or parser.tok.text == "]]":
        parser.unexpected("an operand of [[")
    parser.advance()
    return word


def _comparison(parser: Compounds) -> Node:
    first = parser.tok
    left = _operand(parser)
    tok = parser.tok
    if first.text in UNARY:
        operand = _operand(parser) if tok.kind is WORD and tok.text != "]]" else None
        if operand is None:
            parser.unexpected(f"an operand of {first.text}")
        return TestUnary(first.start, operand.end, first.text, operand)
    if (tok.kind is WORD and tok.text in BINARY) or (tok.kind is OPERATOR and tok.text in ("<", ">")):
        if tok.text == "=~":
            _regex_token(parser)
        else:
            extended, parser.extended = parser.extended, True
            parser.advance()
            parser.extended = extended
        right = _operand(parser)
        return TestBinary(left.start, right.end, tok.text, left, right)
    if tok.kind is WORD and tok.text != "]]":
        parser.unexpected("an operator of [[")
    return TestUnary(left.start, left.end, "-n", left)


def _regex_token(parser: Compounds) -> None:
    """A regular expression is one word although it holds ( ) | and the like; it ends at a blank."""
    parser.blanks()
    start = parser.pos
    parts = parser.regex_parts()
    if not parts:
        parser.tok = Token(END if not parser.char() else NEWLINE, start, start, "")
        parser.unexpected("a regular expression")
    parser.tok = Token(WORD, start, parser.pos, "", Word(start, parser.pos, find_tilde(parts)))
