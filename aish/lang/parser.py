"""The grammar: complete commands out of tokens, by recursive descent.

One parser serves the evaluator (`Parser.next`: one complete command at a time, the first error raised), the
prompt (is the text complete?) and the highlighter (`parse`: all commands, all errors, marks).
"""

from __future__ import annotations

from aish.lang.assignments import DECLARING, TAKING_TEXT
from aish.lang.builtins import SPECIAL
from aish.lang.compounds import REDIRECTS, TERMINATORS, Compounds
from aish.lang.depth import deep
from aish.lang.lexer import END, NEWLINE, NUMBER, OPERATOR, WORD, Token
from aish.lang.name_value import argument_tildes
from aish.lang.scanner import ARGUMENT, ASSIGNMENT, COMMAND, FUNCTION, REDIRECT
from aish.lang.scanner import OPERATOR as OPERATOR_MARK
from aish.lang.source import Source
from aish.lang.text import is_name
from aish.lang.tree import (
    AndOr,
    Background,
    Compound,
    Function,
    Group,
    Literal,
    Pipeline,
    Redirect,
    Sequence,
    Simple,
    Word,
)
from aish.lang.words import RESERVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from aish.lang.tree import Assign, Node
    from aish.lang.tree_bash import Coprocess, Time

_CLOSERS = frozenset(["then", "else", "elif", "fi", "do", "done", "esac", "}"])
_COMPOUND = frozenset(["if", "while", "until", "for", "select", "case", "{", "[["])
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
        if self.aliases:
            self.forget_aliases()
        self.advance()
        self.skip_to_command()
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
        self.in_pattern = False
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
        inner = Parser(source, posix=self.posix)
        inner.extended = self.extended
        inner.forgiving = self.forgiving
        inner.aliases = self.aliases
        inner.warn = self.warn
        return inner

    def substituted(self) -> Sequence:
        """The commands of $( <( or >( up to the `)`, with the cursor left right behind it."""
        saved = self.tok, self.previous_end, self.documents, self.opened, self.in_pattern, self.in_document
        start = self.pos - 2
        self.documents = []
        self.in_pattern = self.in_document = False
        self.opened = [(self.text[start : self.pos], start)]
        self.advance()
        body = self.sequence(optional=True)
        if self.tok.text != ")" or self.tok.kind is not OPERATOR:
            self.unexpected("')'")
        self.pos = self.tok.end
        self.tok, self.previous_end, self.documents, self.opened, self.in_pattern, self.in_document = saved
        return body

    def in_substitution(self) -> bool:
        return bool(self.opened) and self.opened[0][0] in ("$(", "<(", ">(")

    # ------------------------------------------------------------------------------------------ lists

    def sequence(self, optional: bool = False) -> Sequence:
        """Commands up to a word or operator that cannot begin one."""
        self.skip_to_command()
        start = self.tok.start
        items: list[Node] = []
        while not self._at_closer():
            items.append(self.item())
            if self.tok.kind is NEWLINE:
                self.skip_to_command()
            elif not self._separated:
                break
        if not items and not optional:
            self.unexpected("a command")
        return Sequence(start, max(start, self.previous_end), items)

    def _at_closer(self) -> bool:
        if self.aliases:
            self.replace_alias()
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
        if self.aliases:
            self.replace_alias()
        start = self.tok.start
        negated = False
        while self.tok.kind is WORD and self.tok.text == "!":
            self.keyword()
            negated = not negated
        bang = start != self.tok.start
        if self.tok.kind is WORD and self.tok.text == "time" and self._is_time():
            self.enter(self.tok.start)
            timed = self._time()
            self.depth -= 1
            return Pipeline(start, timed.end, [timed], [], negated) if bang else timed
        if bang and self._at_end_of_pipeline():
            nothing = Sequence(self.previous_end, self.previous_end, [])
            return Pipeline(start, self.previous_end, [nothing], [], negated)
        stages = [self.command()]
        edges: list[str] = []
        while self.tok.kind is OPERATOR and self.tok.text in ("|", "|&", "|="):
            at = self.tok
            if at.text == "|&":
                self._merge_errors(stages[-1], at)
            edges.append("|" if at.text == "|&" else at.text)
            self._operator_then_newlines()
            stages.append(self.command())
            if edges[-1] == "|=" and isinstance(stages[-1], Simple) and not stages[-1].words:
                self.fail("a command must follow '|='", at.start, at.end, hint="|= joins two commands")
        if len(stages) == 1 and not bang:
            return stages[0]
        return Pipeline(start, stages[-1].end, stages, edges, negated)

    def _at_end_of_pipeline(self) -> bool:
        """Whether no command follows: `!` and `time` may stand alone."""
        tok = self.tok
        return tok.kind in (NEWLINE, END) or (tok.kind is OPERATOR and tok.text == ";")

    def _is_time(self) -> bool:
        """In posix mode `time -p` is the program of that name."""
        if not self.posix:
            return True
        self.blanks()
        return self.char() != "-"

    def _time(self) -> Time:
        from aish.lang.tree_bash import Time

        start = self.tok.start
        self.keyword()
        posix = self.tok.kind is WORD and self.tok.text == "-p"
        if posix:
            self.mark(self.tok.start, self.tok.end, ARGUMENT)
            self.advance()
        if self.tok.kind is WORD and self.tok.text == "--":
            posix = True  # as in bash
            self.advance()
        command = None if self._at_end_of_pipeline() else self.pipeline()
        return Time(start, command.end if command else self.previous_end, command, posix)

    def _merge_errors(self, stage: Node, at: Token) -> None:
        """a |& b is a 2>&1 | b ."""
        if isinstance(stage, (Simple, Compound)):
            target = Word(at.start, at.end, [Literal(at.start, at.end, "1")])
            stage.redirects.append(Redirect(at.start, at.end, ">&", 2, target))

    def _operator_then_newlines(self) -> None:
        self.mark(self.tok.start, self.tok.end, OPERATOR_MARK)
        self.advance()
        self.skip_to_command()

    # --------------------------------------------------------------------------------------- commands

    def command(self) -> Node:
        if self.aliases:
            self.replace_alias()
        tok = self.tok
        self.enter(tok.start)
        if tok.kind is WORD and tok.text in RESERVED:
            node = self._reserved()
        elif tok.kind is OPERATOR and tok.text == "(":
            node = self.redirected(self.parenthesis_command())
        else:
            node = self.simple()
        self.depth -= 1
        return node

    def _reserved(self) -> Node:
        if self.tok.text in _CLOSERS or self.tok.text in ("in", "!"):  # `!` stands before a pipeline, not in it
            self.unexpected("a command")
        match self.tok.text:
            case "if":
                return self.redirected(self.if_command())
            case "while" | "until":
                return self.redirected(self.while_command())
            case "for" | "select":
                return self.redirected(self.for_command())
            case "case":
                return self.redirected(self.case_command())
            case "{":
                return self.redirected(self.enclosed_command("{", "}", Group))
            case "[[":
                return self.redirected(self.test_command())
            case "function":
                return self._function_keyword()
            case "coproc":
                return self._coprocess()
            case _:  # `]]` means something only where it is expected
                return self.simple()

    def _coprocess(self) -> Coprocess:
        """coproc command, or coproc name compound-command."""
        from aish.lang.tree_bash import Coprocess

        start = self.tok.start
        self.keyword()
        name = "COPROC"
        tok = self.tok
        if tok.kind is WORD and tok.text not in _COMPOUND and is_name(tok.text) and self._compound_follows():
            self.mark(tok.start, tok.end, ASSIGNMENT)
            name = tok.text
            self.advance()
        command = self.command()
        return Coprocess(start, command.end, name, command)

    def _compound_follows(self) -> bool:
        """Whether a compound command begins behind the token under the eye."""
        self.blanks()
        if self.char() == "(":
            return True
        ahead = 0
        while self.char(ahead) and self.char(ahead) not in " \t\n;&|<>()":
            ahead += 1
        return self.text[self.pos : self.pos + ahead] in _COMPOUND

    # ------------------------------------------------------------------------------ simple, functions

    def simple(self) -> Node:
        start = self.tok.start
        assigns: list[Assign] = []
        words: list[Word] = []
        redirects: list[Redirect] = []
        declaring = texts = False
        tilded = True
        """Whether tildes in arguments of the form name=value are bash's alone."""
        while True:
            tok = self.tok
            if tok.kind is NUMBER or (tok.kind is OPERATOR and tok.text in REDIRECTS):
                if self.aliases:
                    self.pass_by()
                redirects.append(self.redirect())
                continue
            if self.aliases:
                self.replace_argument() if words else self.replace_alias(argument=bool(assigns or redirects))
                if self.tok is not tok and self.tok.kind is not WORD:
                    continue  # a redirection perhaps
                tok = self.tok
            if tok.kind is not WORD or tok.word is None:
                break
            if texts and (text := self.list_as_text(tok)):
                words.append(text)
                continue
            found = self.assignment(tok) if declaring or not words else None
            if found is not None:
                self.mark(tok.start, tok.start + len(found.name), ASSIGNMENT)
                if words:
                    words.append(Word(found.start, found.end, [found]))
                else:
                    assigns.append(found)
                continue
            self.advance()
            if not words:
                declaring, texts = tok.text in DECLARING, tok.text in TAKING_TEXT
                tilded = tok.text != "alias"
            elif len(words) == 1 and tok.text in DECLARING and words[0].literal() == "command":
                tilded = False  # POSIX.1-2024, 2.9.1.1: it stays a declaration utility
            self.mark(tok.start, tok.end, ARGUMENT if words else COMMAND)
            words.append(argument_tildes(tok.word, bash=tilded) if words else tok.word)
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
            self.blanks()
            if self.char() == ")":  # and not a body in parentheses
                return self._function(start, tok, reserved=not self.posix)
        return self._function_body(start, tok, reserved=not self.posix)

    def _function(self, start: int, tok: Token, *, reserved: bool = False) -> Function:
        """name ( ) with `(` under the eye; `reserved`: the name may be a reserved word."""
        at = self.tok
        self.advance()
        if self.tok.text != ")" or self.tok.kind is not OPERATOR:
            if self.tok.kind is not END:
                self.fail("unexpected '('", at.start, at.end, hint="quote it; name() { ...; } defines a function")
            self.unexpected("')'")
        self.advance()
        return self._function_body(start, tok, reserved=reserved)

    def _function_body(self, start: int, tok: Token, *, reserved: bool) -> Function:
        name = tok.text
        if self.posix and name in SPECIAL:
            self.fail(f"'{name}' is a special built-in: no function may have its name", tok.start, tok.end)
        if not name or (name in RESERVED and not reserved) or "=" in name:
            self.fail("not a name for a function", tok.start, tok.end, hint="use letters, digits, '_', '-', '.', ':'")
        if self.posix and not is_name(name):
            self.fail(
                "not a name for a function in posix mode", tok.start, tok.end, hint="use letters, digits and '_'"
            )
        self.mark(tok.start, tok.end, FUNCTION)
        self.skip_to_command()
        at = self.tok
        body = self.command()
        if isinstance(body, (Simple, Function)):
            self.fail("a function's body is a compound command", at.start, at.end, hint="put it in { ...; }")
        return Function(start, body.end, name, body)

    def redirect(self) -> Redirect:
        start = self.tok.start
        fd: int | None = None
        variable: str | None = None
        if self.tok.kind is NUMBER:
            if self.tok.text[0] == "{":
                variable = self.tok.text[1:-1]
                self.mark(start + 1, self.tok.end - 1, ASSIGNMENT)
            elif len(self.tok.text) > 5 or int(self.tok.text) > 0xFFFF:
                self.fail("a file descriptor beyond 65535", start, self.tok.end)
            else:
                fd = int(self.tok.text)
            self.advance()
        op = self.tok.text
        self.mark(start, self.tok.end, REDIRECT)
        self.advance()
        tok = self.tok
        if tok.kind is NUMBER and op in ("<&", ">&") and tok.text[0] != "{":  # 2>&1>f: no descriptor of what follows
            tok.word = Word(tok.start, tok.end, [Literal(tok.start, tok.end, tok.text)])
        if tok.word is None:
            self.unexpected("a here-document's delimiter" if op in ("<<", "<<-") else "a file's name")
        node = Redirect(start, tok.end, op, fd, tok.word)
        node.variable = variable
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
