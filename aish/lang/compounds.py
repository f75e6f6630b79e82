"""Compound commands: ( ) { } (( )) if while until for select case, and the redirections behind them."""

from __future__ import annotations

from aish.lang.assignments import Assignments
from aish.lang.lexer import NEWLINE, NUMBER, OPERATOR, WORD, Token
from aish.lang.name_value import argument_tildes
from aish.lang.scanner import ARGUMENT, ASSIGNMENT, KEYWORD
from aish.lang.scanner import OPERATOR as OPERATOR_MARK
from aish.lang.text import is_name
from aish.lang.tree import (
    Arithmetic,
    Case,
    CaseArm,
    Compound,
    For,
    Group,
    If,
    Sequence,
    Subshell,
    While,
    Word,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.source import Source
    from aish.lang.tree import Redirect
    from aish.lang.tree_bash import Counting, Test

REDIRECTS = frozenset(["<", ">", ">|", ">>", "<<", "<<-", "<<<", "<&", ">&", "<>", "&>", "&>>"])
TERMINATORS = frozenset([";;", ";&", ";;&"])


class Compounds(Assignments):
    """Everything that a reserved word or a parenthesis opens."""

    def __init__(self, source: Source, more: Callable[[], str] | None = None, *, posix: bool = False) -> None:
        super().__init__(source, more, posix=posix)
        self.opened: list[tuple[str, int]] = []

    def sequence(self, optional: bool = False) -> Sequence:
        """Commands up to a word or operator that cannot begin one."""
        raise NotImplementedError

    def redirect(self) -> Redirect:
        """The redirection under the eye."""
        raise NotImplementedError

    def skip_newlines(self) -> None:
        while self.tok.kind is NEWLINE:
            self.advance()

    def skip_to_command(self) -> None:
        """Skip lines that are empty, or are once their aliases are replaced."""
        self.skip_newlines()
        while self.aliases:
            self.replace_alias()
            if self.tok.kind is not NEWLINE:
                break
            self.skip_newlines()

    def keyword(self, wanted: str = "") -> None:
        """Consume a reserved word; with `wanted`, that one or an error."""
        if wanted and (self.tok.kind is not WORD or self.tok.text != wanted):
            self.unexpected(f"'{wanted}'")
        self.mark(self.tok.start, self.tok.end, KEYWORD)
        self.advance()

    def _open(self) -> int:
        """Consume the word that opens a compound command and remember it for the error message."""
        start = self.tok.start
        self.opened.append((self.tok.text, start))
        self.mark(start, self.tok.end, KEYWORD)
        self.advance()
        return start

    def _close(self, word: str) -> None:
        self.keyword(word)
        self.opened.pop()

    def test_command(self) -> Test:
        """[[ expression ]]"""
        from aish.lang.conditions import test_command

        return test_command(self)

    def enclosed_command(self, opener: str, closer: str, kind: type[Group | Subshell]) -> Compound:
        start = self._open()
        body = self.sequence()
        if self.tok.text != closer or self.tok.kind is not (WORD if closer == "}" else OPERATOR):
            self.unexpected(f"'{closer}'")
        self.keyword()
        self.opened.pop()
        return kind(start, body)

    def redirected(self, node: Compound) -> Compound:
        if self.aliases:
            self.replace_alias()
        while self.tok.kind is NUMBER or (self.tok.kind is OPERATOR and self.tok.text in REDIRECTS):
            node.redirects.append(self.redirect())
        node.end = self.previous_end
        return node

    def if_command(self) -> If:
        start = self._open()
        arms = []
        while True:
            condition = self.sequence()
            self.keyword("then")
            arms.append((condition, self.sequence()))
            if self.tok.text != "elif":
                break
            self.keyword()
        orelse = None
        if self.tok.text == "else":
            self.keyword()
            orelse = self.sequence()
        self._close("fi")
        return If(start, arms, orelse)

    def while_command(self) -> While:
        until = self.tok.text == "until"
        start = self._open()
        condition = self.sequence()
        return While(start, condition, self._do(), until)

    def _do(self) -> Sequence:
        self.keyword("do")
        body = self.sequence()
        self._close("done")
        return body

    def do_or_group(self) -> Sequence:
        """The body of for and select: do ..; done, or as bash has it { ..; }."""
        if self.tok.text != "{" or self.tok.kind is not WORD:
            return self._do()
        self.keyword()
        body = self.sequence()
        self._close("}")
        return body

    def for_command(self) -> For | Counting:
        """for and select; C's kind of for, too."""
        kind = For
        if self.tok.text == "select":
            from aish.lang.tree_bash import Select as kind  # noqa: N813
        start = self._open()
        tok = self.tok
        if kind is For and tok.kind is OPERATOR and tok.text == "(" and self.char() == "(":
            from aish.lang.counting import counting

            return counting(self, start)
        if tok.kind is not WORD or not is_name(tok.text):
            self.unexpected("a variable's name")
        self.mark(tok.start, tok.end, ASSIGNMENT)
        self.advance()
        words: list[Word] | None = None
        if self.tok.text == ";" and self.tok.kind is OPERATOR:
            self.advance()
            self.skip_to_command()
        else:
            if self.tok.kind is NEWLINE:
                self.skip_to_command()
            if self.tok.text == "in" and self.tok.kind is WORD:
                words = self._in_words()
        return kind(start, tok.text, words, self.do_or_group())

    def _in_words(self) -> list[Word]:
        self.keyword()
        words = []
        while self.tok.word is not None and self.tok.kind is WORD:
            self.mark(self.tok.start, self.tok.end, ARGUMENT)
            words.append(argument_tildes(self.tok.word))
            self.advance()
        self.end_of_words()
        return words

    def end_of_words(self) -> None:
        """What must stand between the words of `for` and its `do`."""
        if self.tok.kind is not NEWLINE and self.tok.text != ";":
            self.unexpected("';' or a new line")
        if self.tok.kind is OPERATOR:
            self.advance()
        self.skip_to_command()

    def double_parenthesis(self) -> Arithmetic | None:
        """What is between (( and )), with the first parenthesis under the eye; None, and nothing is changed, where
        it opens a subshell in a subshell."""
        tok = self.tok
        if self.char() != "(":
            return None
        expression = self.arithmetic(tok.start, tok.start + 2)
        if expression is None:
            self.pos = tok.end
            return None
        self.tok = Token(OPERATOR, tok.start, self.pos, "((")
        self.advance()
        return expression

    def parenthesis_command(self) -> Compound:
        """((expression)), or ( commands ), with the first parenthesis under the eye."""
        start = self.tok.start
        expression = self.double_parenthesis()
        if expression is not None:
            from aish.lang.tree_bash import Calculation

            return Calculation(start, expression)
        return self.enclosed_command("(", ")", Subshell)

    def case_command(self) -> Case:
        start = self._open()
        subject = self.tok.word
        if subject is None:
            self.unexpected("a word")
        self.mark(self.tok.start, self.tok.end, ARGUMENT)
        self.advance()
        self.skip_newlines()
        self.keyword("in")
        self.skip_newlines()
        arms: list[CaseArm] = []
        while self.tok.text != "esac" or self.tok.kind is not WORD:
            arms.append(self._arm())
            if not arms[-1].terminator:
                break
            self.skip_newlines()
        self._close("esac")
        return Case(start, argument_tildes(subject), arms)

    def _arm(self) -> CaseArm:
        start = self.tok.start
        self.in_pattern = True
        if self.tok.text == "(" and self.tok.kind is OPERATOR:
            self.advance()
        patterns: list[Word] = []
        while True:
            if self.tok.word is None:
                self.unexpected("a pattern")
            self.mark(self.tok.start, self.tok.end, ARGUMENT)
            patterns.append(argument_tildes(self.tok.word))
            self.advance()
            if self.tok.text != "|":
                break
            self.advance()
        if self.tok.text != ")" or self.tok.kind is not OPERATOR:
            self.unexpected("')' or '|'")
        self.mark(self.tok.start, self.tok.end, OPERATOR_MARK)
        self.in_pattern = False
        self.advance()
        body = self.sequence(optional=True)
        terminator = ""
        if self.tok.kind is OPERATOR and self.tok.text in TERMINATORS:
            terminator = self.tok.text
            self.mark(self.tok.start, self.tok.end, OPERATOR_MARK)
            self.advance()
        return CaseArm(start, self.previous_end, patterns, body, terminator)
