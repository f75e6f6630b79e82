"""The grammar: complete commands out of tokens, by recursive descent.

One parser serves the evaluator (`Parser.next`: one complete command at a time, the first error raised), the
prompt (is the text complete?) and the highlighter (`parse`: all commands, all errors, marks).
"""

from __future__ import annotations

from aish.lang.assignments import DECLARING
from aish.lang.compounds import REDIRECTS, TERMINATORS, Compounds
from aish.lang.depth import deep
from aish.lang.lexer import END, NEWLINE, NUMBER, OPERATOR, WORD, Token
from aish.lang.scanner import ARGUMENT, ASSIGNMENT, COMMAND, FUNCTION, REDIRECT
from aish.lang.scanner import OPERATOR as OPERATOR_MARK
from aish.lang.source import ParseError, Source
from aish.lang.tree import (
    AndOr,
    Background,
    Function,
    Group,
    Pipeline,
    Redirect,
    Sequence,
    Simple,
    Subshell,
    Word,
)
from aish.lang.words import argument_tildes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from aish.lang.tree import Assign, Node

RESERVED = frozenset(
    ["if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in", "{",
     "}", "!", "[[", "]]", "function"]
)  # fmt: skip
_CLOSERS = frozenset(["then", "else", "elif", "fi", "do", "done", "esac", "}"])
_EMPTY_WORD = Word(0, 0, [])


class Parser(Compounds):
    """Reads complete commands from a source."""

    # ------------------------------------------------------------------------------ complete commands

    def next(self) -> Sequence | None:
        """The next complete command: a list up to the end of its line. None at the end of the text.

        Raises ParseError. Nothing behind the line is read, so that a script can be its own input.
        """
        with deep():
            return self._next()

    def _next(self) -> Sequence | None:
        self.command_start = self.tok.end
        self.advance()
        self.skip_newlines()
        if self.tok.kind is END:
            return None
        start = self.tok.start
        items: list[Node] = []
        while True:
            items.append(self.item())
            if self.tok.kind in (NEWLINE, END):
                break
            if not self._separated:
                self.unexpected("a new line, ';' or '&'")
        return Sequence(start, self.previous_end, items)

    def recover(self) -> None:
        """After a ParseError: go on behind the end of the line that it stands on."""
        self.depth = 0
        self.opened.clear()
        self.documents.clear()
        newline = self.find("\n", max(self.pos, self.tok.end))
        self.pos = newline + 1 if newline >= 0 else len(self.text)
        self.tok = Token(NEWLINE, self.pos, self.pos, "")

    def whole(self) -> Sequence:
        """Everything in the text as one list."""
        self.advance()
        body = self.sequence(optional=True)
        if self.tok.kind is not END:
            self.unexpected("a command")
        return body

    def nested(self, source: Source) -> Parser:
        return Parser(source, posix=self.posix)

    def substituted(self) -> Sequence:
        """The commands of $( up to its `)`, with the cursor left right behind it."""
        saved = self.tok, self.previous_end, self.documents, self.opened
        start = self.pos - 2
        self.documents = []
        self.opened = [("$(", start)]
        self.advance()
        body = self.sequence(optional=True)
        if self.tok.text != ")" or self.tok.kind is not OPERATOR:
            self.unexpected("')'")
        self.pos = self.tok.end
        self.tok, self.previous_end, self.documents, self.opened = saved
        return body

    # ------------------------------------------------------------------------------------------ lists

    def sequence(self, optional: bool = False) -> Sequence:
        """Commands up to a word or operator that cannot begin one."""
        self.skip_newlines()
        start = self.tok.start
        items: list[Node] = []
        while not self._at_closer():
            items.append(self.item())
            if self.tok.kind is NEWLINE:
                self.skip_newlines()
            elif not self._separated:
                break
        if not items and not optional:
            self.unexpected("a command")
        return Sequence(start, max(start, self.previous_end), items)

    def _at_closer(self) -> bool:
        tok = self.tok
        if tok.kind is WORD:
            return tok.text in _CLOSERS
        return tok.kind is END or (tok.kind is OPERATOR and (tok.text == ")" or tok.text in TERMINATORS))

    def item(self) -> Node:
        """An and-or list and the separator behind it; `_separated` says whether there was one."""
        node = self.and_or()
        self._separated = False
        if self.tok.kind is OPERATOR and self.tok.text in (";", "&"):
            self.mark(self.tok.start, self.tok.end, OPERATOR_MARK)
            if self.tok.text == "&":
                node = Background(node.start, node.end, node)
            self.advance()
            self._separated = True  # set last: reading the token may have parsed a substitution
        return node

    def and_or(self) -> Node:
        first = self.pipeline()
        rest: list[tuple[str, Node]] = []
        while self.tok.kind is OPERATOR and self.tok.text in ("&&", "||"):
            op = self.tok.text
            self._operator_then_newlines()
            rest.append((op, self.pipeline()))
        if not rest:
            return first
        return AndOr(first.start, rest[-1][1].end, first, rest)

    def pipeline(self) -> Node:
        start = self.tok.start
        negated = False
        while self.tok.text == "!" and self.tok.kind is WORD:
            self.keyword()
            negated = not negated
        bang = start != self.tok.start
        stages = [self.command()]
        edges: list[str] = []
        while self.tok.kind is OPERATOR and self.tok.text in ("|", "|&", "|="):
            edges.append(self.tok.text)
            at = self.tok
            self._operator_then_newlines()
            stages.append(self.command())
            if edges[-1] == "|=" and isinstance(stages[-1], Simple) and not stages[-1].words:
                self.fail("a command must follow '|='", at.start, at.end, hint="|= joins two commands")
        if len(stages) == 1 and not bang:
            return stages[0]
        return Pipeline(start, stages[-1].end, stages, edges, negated)

    def _operator_then_newlines(self) -> None:
        self.mark(self.tok.start, self.tok.end, OPERATOR_MARK)
        self.advance()
        self.skip_newlines()

    # --------------------------------------------------------------------------------------- commands

    def command(self) -> Node:
        tok = self.tok
        self.enter(tok.start)
        if tok.kind is WORD and tok.text in RESERVED:
            node = self._reserved()
        elif tok.kind is OPERATOR and tok.text == "(":
            node = self.redirected(self.enclosed_command("(", ")", Subshell))
        else:
            node = self.simple()
        self.depth -= 1
        return node

    def _reserved(self) -> Node:
        if self.tok.text in _CLOSERS:
            self.unexpected("a command")
        match self.tok.text:
            case "if":
                return self.redirected(self.if_command())
            case "while" | "until":
                return self.redirected(self.while_command())
            case "for":
                return self.redirected(self.for_command())
            case "case":
                return self.redirected(self.case_command())
            case "{":
                return self.redirected(self.enclosed_command("{", "}", Group))
            case "[[":
                return self.redirected(self.test_command())
            case "function":
                return self._function_keyword()
            case _:  # `in` and `]]` mean something only where they are expected
                return self.simple()

    # ------------------------------------------------------------------------------ simple, functions

    def simple(self) -> Node:
        start = self.tok.start
        assigns: list[Assign] = []
        words: list[Word] = []
        redirects: list[Redirect] = []
        declaring = False
        while True:
            tok = self.tok
            if tok.kind is NUMBER or (tok.kind is OPERATOR and tok.text in REDIRECTS):
                redirects.append(self.redirect())
                continue
            if tok.kind is not WORD or tok.word is None:
                break
            found = self.assignment(tok) if declaring or not words else None
            if found is not None:
                self.mark(tok.start, tok.start + len(found.name), ASSIGNMENT)
                if words:
                    words.append(Word(found.start, found.end, [found]))
                else:
                    assigns.append(found)
                continue
            self.advance()
            declaring = not words and tok.text in DECLARING or declaring
            self.mark(tok.start, tok.end, ARGUMENT if words else COMMAND)
            words.append(tok.word if self.posix or not words else argument_tildes(tok.word))
            if self.tok.text == "(" and self.tok.kind is OPERATOR:
                if len(words) > 1 or assigns or redirects:
                    self.unexpected("an argument")
                return self._function(start, tok)
        if not (assigns or words or redirects):
            self.unexpected("a command")
        return Simple(start, self.previous_end, assigns, words, redirects)

    def _function_keyword(self) -> Function:
        start = self.tok.start
        self.keyword()
        tok = self.tok
        if tok.kind is not WORD:
            self.unexpected("a function's name")
        self.advance()
        if self.tok.text == "(" and self.tok.kind is OPERATOR:
            return self._function(start, tok)
        return self._function_body(start, tok)

    def _function(self, start: int, tok: Token) -> Function:
        """name ( ) with `(` under the eye."""
        at = self.tok
        self.advance()
        if self.tok.text != ")" or self.tok.kind is not OPERATOR:
            if self.tok.kind is not END:
                self.fail("unexpected '('", at.start, at.end, hint="quote it; name() { ...; } defines a function")
            self.unexpected("')'")
        self.advance()
        return self._function_body(start, tok)

    def _function_body(self, start: int, tok: Token) -> Function:
        name = tok.text
        if not name or name in RESERVED or "=" in name:
            self.fail("not a name for a function", tok.start, tok.end, hint="use letters, digits, '_', '-', '.', ':'")
        self.mark(tok.start, tok.end, FUNCTION)
        self.skip_newlines()
        at = self.tok
        body = self.command()
        if isinstance(body, (Simple, Function)):
            self.fail("a function's body is a compound command", at.start, at.end, hint="put it in { ...; }")
        return Function(start, body.end, name, body)

    def redirect(self) -> Redirect:
        start = self.tok.start
        fd: int | None = None
        if self.tok.kind is NUMBER:
            fd = int(self.tok.text)
            if fd > 0xFFFF:
                self.fail("a file descriptor beyond 65535", start, self.tok.end)
            self.advance()
        op = self.tok.text
        self.mark(start, self.tok.end, REDIRECT)
        self.advance()
        tok = self.tok
        if tok.word is None:
            self.unexpected("a here-document's delimiter" if op in ("<<", "<<-") else "a file's name")
        node = Redirect(start, tok.end, op, fd, tok.word)
        if op in ("<<", "<<-"):
            node.op = "<<"
            node.target = _EMPTY_WORD
            self.expect_document(node, tok.word, op == "<<-")
        self.mark(tok.start, tok.end, REDIRECT)
        self.advance()
        return node

    # ----------------------------------------------------------------------------------------- errors

    def unexpected(self, wanted: str) -> NoReturn:
        tok = self.tok
        hint: str | None = None
        if self.opened:
            word, start = self.opened[-1]
            hint = f"inside '{word}' of line {self.source.line(start)}"
        if tok.kind is END:
            self.fail(f"{wanted} expected before the end", tok.start, tok.end, hint=hint, incomplete=True)
        shown = "the end of the line" if tok.kind is NEWLINE else f"'{self.text[tok.start : tok.end][:40]}'"
        if hint is None and tok.text in _CLOSERS:
            hint = f"no command is open that '{tok.text}' could end or continue"
        self.fail(f"unexpected {shown}, {wanted} expected", tok.start, tok.end, hint=hint)


class Script:
    """What `parse` found: `commands`, every error, whether more text could complete it, and the marks."""

    __slots__ = ("commands", "errors", "incomplete", "marks", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.commands: list[Sequence] = []
        self.errors: list[ParseError] = []
        self.incomplete = False
        self.marks: list[tuple[int, int, str]] = []


MAX_ERRORS = 100
"""After so many the text is no shell script, and nobody reads on."""


def parse(text: str, name: str = "-", *, posix: bool = False) -> Script:
    """The whole of `text`, with the errors in it (at most MAX_ERRORS). Never raises for any text."""
    source = Source(name, text)
    parser = Parser(source, posix=posix)
    script = Script(source)
    parser.marks = script.marks
    while True:
        try:
            command = parser.next()
        except ParseError as error:
            script.errors.append(error)
            if error.incomplete or error.end >= len(text):
                script.incomplete = True
            if len(script.errors) >= MAX_ERRORS:
                break
            parser.recover()
            continue
        if command is None:
            break
        script.commands.append(command)
    script.incomplete = script.incomplete or parser.dangling
    return script
