"""A tree as text again, in bash's layout: `declare -f`, `type`, $BASH_COMMAND. Reading it gives the same tree.

Inside a function commands stand on lines of their own, four columns a level; elsewhere on one line as far as bash has
them there. Words are as they were written, but for the commands in them (reprint_words).
"""

from __future__ import annotations

from contextlib import contextmanager

from aish.lang.parser import Parser
from aish.lang.reprint_lines import Lines
from aish.lang.source import ParseError, Source
from aish.lang.tree import (
    AndOr,
    Arithmetic,
    Background,
    Case,
    Compound,
    For,
    Function,
    Group,
    If,
    Pipeline,
    Sequence,
    Simple,
    Subshell,
    While,
)
from aish.lang.tree_bash import Calculation, Coprocess, Counting, Select, Test, Time
from aish.lang.tree_conditions import TestBinary, TestGroup, TestJoin, TestNot, TestUnary
from aish.lang.words import RESERVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.lang.source import Site
    from aish.lang.tree import Assign, Node

_STEP = 4


def definition(source: Source, node: Function) -> str:
    """The definition of one function: name (), and its body in braces."""
    printer = _Printer(source.text)
    printer.add("function " * (node.name in RESERVED) + f"{node.name} () \n")
    printer.body(node)
    return printer.text()


def command(source: Source, node: Node) -> str:
    """Any command, as $BASH_COMMAND shows it: of loops the head or the expression that is next, of case the head."""
    printer = _Printer(source.text)
    match node:
        case For():
            return printer.for_head(node)
        case Case():
            return f"case {printer.word(node.subject)} in "
        case Arithmetic():  # one of the three of for (( ))
            return f"(({printer.raw(node).lstrip() or '1'}))"
        case _:
            printer.command(node)
            return printer.text()


def assignment(source: Source, node: Assign) -> str:
    """name=value and the like, as `set -x` shows lists."""
    return _Printer(source.text).assignment(node)


def whole(source: Source, node: Node) -> str:
    """Any command, with all that is in it."""
    printer = _Printer(source.text)
    printer.command(node)
    printer.pending_documents()
    return printer.text()


def laid_out(text: str, site: Site | None = None) -> str:
    """The text of one command as `jobs` shows it; as it is where it cannot be read alone. The bodies of its
    here-documents are elsewhere, and known only where `site` has the command."""
    node = site.node if site is not None and "<<" in text else None
    if node is not None:
        assert site is not None
        return _with_documents(site.source, node)
    source = Source("jobs", text)
    try:
        items = Parser(source).whole().items
    except ParseError:
        return text
    return whole(source, items[0]) if len(items) == 1 else text


def _with_documents(source: Source, node: Node) -> str:
    """Those of a stage behind the stage, as bash has them here and nowhere else."""
    if not isinstance(node, Pipeline) or node.negated or len(node.stages) == 1:
        return whole(source, node)
    edges = ["", *(f" {edge} " for edge in node.edges)]
    return "".join([edge + whole(source, stage) for edge, stage in zip(edges, node.stages, strict=True)])


class _Printer(Lines):
    """The first line of a command is indented by whoever begins that line."""

    def substituted(self, body: Sequence) -> str:
        printer = _Printer(self.source, substitution=True)
        printer.sequence(body)
        printer.semicolon_behind_nothing()
        text = printer.text()
        return " " + text if text.startswith("(") else text  # $(( would be arithmetic

    # ------------------------------------------------------------------------------------------ lists

    def command(self, node: Node) -> None:
        match node:
            case Simple():
                self._simple(node)
            case Sequence():
                self.sequence(node)
            case Pipeline():
                self._pipeline(node)
            case AndOr():
                with self._joining():
                    self.command(node.first)
                    for op, item in node.rest:
                        self.documents(f" {op} ")
                        self.command(item)
            case Background():
                with self._joining():
                    self.command(node.command)
                    self.documents(" &")
            case Function():
                self.add(f"function {node.name} () \n")
                self.body(node)
            case Time():
                self.add("time -p " if node.posix else "time ")
                if node.command is not None:
                    self.command(node.command)
            case Coprocess():
                # before a simple command a name would be the command's first word
                self.add("coproc " if isinstance(node.command, Simple) else f"coproc {node.name} ")
                self.command(node.command)
            case Compound():
                self._compound(node)
                if node.redirects:
                    self.add(" ")
                    self.redirects(node.redirects)
            case _:
                raise AssertionError(node)

    def sequence(self, node: Sequence) -> None:
        """Commands one after the other; the first one stands where we are."""
        items = node.items
        several = len(items) > 1
        followed, self.followed = self.followed, False
        self.joined += several
        for i, item in enumerate(items):
            self.command(item)
            if i:
                self.pending_documents()
            if i == len(items) - 1:
                break
            if isinstance(item, Background):
                self.add(" ")
            else:
                self._between(item, items[i + 1])
        self.joined -= several
        self.followed = followed

    @contextmanager
    def _joining(self) -> Iterator[None]:
        """Commands that something joins: the bodies of here-documents stand behind it, the last ones at the end."""
        followed, self.followed = self.followed, True
        self.joined += 1
        yield
        self.joined -= 1
        self.followed = followed
        if not followed:
            self.pending_documents()

    def _between(self, item: Node, following: Node) -> None:
        """What stands between two commands."""
        written = self.source[item.end : following.start].lstrip(" \t")
        newline = self.substitution and written[:1] != ";"
        if self.waiting:
            self.pending_documents()
        elif self.functions and self.after_document:  # the first ; behind a here-document is missing, as in bash
            self.after_document = False
        elif self.functions or not (newline or self.pieces[-1][-1] == "\n"):
            self.add(";")
        if self.functions:
            self.line()
        else:
            self.add("\n" if newline else " ")

    def _pipeline(self, node: Pipeline) -> None:
        only = node.stages[0]
        if node.negated and not (isinstance(only, Time) and len(node.stages) == 1):
            self.add("! ")
        if len(node.stages) == 1:
            if isinstance(only, Time) and node.negated:  # ! time a is time ! a
                only = Time(only.start, only.end, _negated(only), only.posix)
            self.command(only)
            return
        with self._joining():
            for i, stage in enumerate(node.stages):
                self.command(stage)
                if i < len(node.edges):
                    self.documents(f" {node.edges[i]}")
                    self.add(" ")

    # ------------------------------------------------------------------------------- simple, redirections

    def _simple(self, node: Simple) -> None:
        words = [self.assignment(item) for item in node.assigns] + [self.word(word) for word in node.words]
        self.add(" ".join(words))
        if node.redirects:
            if words:
                self.add(" ")
            self.redirects(node.redirects)

    # -------------------------------------------------------------------------------------- compound

    def body(self, node: Function) -> None:
        """A function's body, in braces of its own where it has none."""
        self.add(" " * self.depth + "{ ")
        self.functions += 1
        self.depth += _STEP
        self.line()
        self.command(node.body.body if isinstance(node.body, Group) else node.body)
        self.pending_documents()
        self.depth -= _STEP
        self.functions -= 1
        self.line("}")
        if isinstance(node.body, Group) and node.body.redirects:
            self.add(" ")
            self.redirects(node.body.redirects)
        else:
            self.after_document = False

    def _block(self, body: Sequence, *, closed: bool = True) -> None:
        """Commands on lines of their own, a level deeper."""
        self.depth += _STEP
        if body.items:
            self.line()
            self.sequence(body)
        self.pending_documents()
        self.depth -= _STEP
        if (
            closed and self.pieces[-1][-1] != "&"
        ):  # the line's end is enough, and bash looks at no more than the letter
            self.semicolon()

    def _compound(self, node: Compound) -> None:
        match node:
            case Group():
                self._group(node)
            case Subshell():
                self.add("( ")
                self.sequence(node.body)
                self.pending_documents()
                self.semicolon_behind_nothing()
                self.add(" )")
            case If():
                self._if(node.arms, node.orelse)
            case For():
                self.add(f"{self.for_head(node)};")
                self._loop(node.body)
            case Counting():
                parts = [
                    "1" if part is None else self.raw(part).lstrip() for part in (node.first, node.test, node.step)
                ]
                self.add(f"for (({'; '.join(parts)}))")
                self._loop(node.body)
            case While():
                self.add("until " if node.until else "while ")
                self._condition(node.condition)
                self.add(" do")
                self._block(node.body)
                self.line("done")
            case Case():
                self._case(node)
            case Test():
                self.add(f"[[ {self._test(node.expression)} ]]")
            case Calculation():
                self.add(self.raw(node.expression))
            case _:
                raise AssertionError(node)

    def for_head(self, node: For) -> str:
        """for name in words, and select."""
        words = '"$@"' if node.words is None else " ".join(map(self.word, node.words))
        return f"{'select' if isinstance(node, Select) else 'for'} {node.name} in {words}"

    def _loop(self, body: Sequence) -> None:
        self.line("do")
        self._block(body)
        self.line("done")

    def _group(self, node: Group) -> None:
        if not self.functions:
            self.add("{ ")
            self.sequence(node.body)
            self.pending_documents()
            self.semicolon()
            self.add(" }")
            return
        self.add("{ ")
        self._block(node.body, closed=False)
        self.line("}")

    def _condition(self, node: Sequence) -> None:
        self.sequence(node)
        self.pending_documents()
        self.semicolon()

    def _if(self, arms: list[tuple[Sequence, Sequence]], orelse: Sequence | None) -> None:
        """elif is an `if` in the else part."""
        (test, body), *others = arms
        self.add("if ")
        self._condition(test)
        self.add(" then")
        self._block(body)
        if others:
            self.line("else")
            self.depth += _STEP
            self.line()
            self._if(others, orelse)
            self.depth -= _STEP
            self.semicolon()
        elif orelse is not None:
            self.line("else")
            self._block(orelse)
        self.line("fi")

    def _case(self, node: Case) -> None:
        self.add(f"case {self.word(node.subject)} in ")
        self.depth += _STEP
        for arm in node.arms:
            patterns = " | ".join(map(self.word, arm.patterns))
            self.line(f"{'(' * (self.word(arm.patterns[0]) == 'esac')}{patterns})")
            self._block(arm.body, closed=False)
            if not arm.body.items:
                self.add("\n")
            self.line(arm.terminator or ";;")
        self.depth -= _STEP
        self.line("esac")

    def _test(self, node: Node) -> str:
        match node:
            case TestJoin():
                return f"{self._test(node.left)} {node.op} {self._test(node.right)}"
            case TestNot():
                return f"! {self._test(node.inner)}"
            case TestGroup():
                return f"( {self._test(node.inner)} )"
            case TestUnary():
                return f"{node.op} {self.word(node.word)}"
            case TestBinary():
                return f"{self.word(node.left)} {node.op} {self.word(node.right)}"
            case _:
                raise AssertionError(node)


def _negated(node: Time) -> Node:
    """The command of `time`, with ! in front of it."""
    inner = node.command or Sequence(node.end, node.end, [])
    if isinstance(inner, Pipeline):
        return Pipeline(inner.start, inner.end, inner.stages, inner.edges, not inner.negated)
    return Pipeline(inner.start, inner.end, [inner], [], True)
