"""A function's definition in bash's layout, for `type` and `declare -f`: one command a line, four columns a level.

Words and what has no layout of its own are shown as they were written.
"""

from __future__ import annotations

from aish.lang.parser import Parser
from aish.lang.source import ParseError, Source
from aish.lang.tree import (
    AndOr,
    Background,
    Case,
    Compound,
    Coprocess,
    Counting,
    For,
    Function,
    Group,
    If,
    Pipeline,
    Redirect,
    Sequence,
    Simple,
    Subshell,
    Time,
    While,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.tree import Node, Word

_STEP = 4


def definition(text: str) -> str:
    """The definition of one function, laid out; as it is where it cannot be parsed any more."""
    parser = Parser(Source("function", text))
    parser.extended = True
    try:
        node = parser.whole().items[0]
    except (ParseError, IndexError):
        return text
    if not isinstance(node, Function):
        return text
    return _Printer(text).function(node, 0, keyword=False)


class _Printer:
    """Each method gives a node's text, whose first line stands at `depth` already."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.documents: list[Redirect] = []

    def function(self, node: Function, depth: int, *, keyword: bool = True) -> str:
        """name () and its body, in braces of its own where it has none."""
        pad = " " * depth
        body = node.body
        head = f"{'function ' * keyword}{node.name} () \n{pad}"
        if isinstance(body, Group):
            return head + self.command(body, depth)
        inner = self.command(body, depth + _STEP)
        return f"{head}{{ \n{pad}{' ' * _STEP}{inner}\n{pad}}}"

    def sequence(self, node: Sequence, depth: int, *, closed: bool = False) -> str:
        """Commands on lines of their own; `closed`: a semicolon stands behind the last one, too."""
        pad = " " * depth
        text = ""
        for i, item in enumerate(node.items):
            background = isinstance(item, Background)
            text += self.command(item, depth)
            documents = self._pending_documents()
            text += documents
            if i == len(node.items) - 1:
                text += ";" if closed and not background and not documents else ""
            elif background:
                text += " "
            else:
                text += f"\n{pad}" if documents else f";\n{pad}"
        return text

    def command(self, node: Node, depth: int) -> str:
        match node:
            case Simple():
                return self._simple(node)
            case Pipeline():
                return self._pipeline(node, depth)
            case AndOr():
                return self.command(node.first, depth) + "".join(
                    [f" {op} {self.command(item, depth)}" for op, item in node.rest]
                )
            case Background():
                return self.command(node.command, depth) + " &"
            case Sequence():
                return self.sequence(node, depth)
            case Function():
                return self.function(node, depth)
            case Time():
                command = f" {self.command(node.command, depth)}" if node.command else ""
                return f"time{' -p' * node.posix}{command}"
            case Coprocess():
                # before a simple command a name would be the command's first word
                name = "" if isinstance(node.command, Simple) else f"{node.name} "
                return f"coproc {name}{self.command(node.command, depth)}"
            case Compound():
                return self._compound(node, depth) + self._redirects(node.redirects)
            case _:
                return self.text[node.start : node.end]

    def _simple(self, node: Simple) -> str:
        pieces = [self.text[item.start : item.end] for item in (*node.assigns, *node.words)]
        return (" ".join(pieces) + self._redirects(node.redirects)).strip()

    def _redirects(self, redirects: list[Redirect]) -> str:
        return "".join([" " + self._redirect(item) for item in redirects])

    def _redirect(self, node: Redirect) -> str:
        if node.op in ("<<", "<<-"):
            self.documents.append(node)
            return self.text[node.start : node.end]
        target = self.text[node.target.start : node.target.end]
        if target == "|&":
            return "2>&1"
        number = self.text[node.start : node.target.start].partition(node.op)[0].strip()
        if node.op not in ("<&", ">&"):
            return f"{number}{node.op} {target}"
        if not number and (target == "-" or target.isdigit()):
            number = "0" if node.op == "<&" else "1"
        return f"{number}{'>&' if target == '-' else node.op}{target}"

    def _pending_documents(self) -> str:
        """The bodies of here-documents, which follow the line."""
        text = ""
        for node in self.documents:
            body = self.text[node.target.start : node.target.end]
            if node.op == "<<-":
                body = "".join([line.lstrip("\t") for line in body.splitlines(keepends=True)])
            word = self.text[node.start : node.end].partition("<<")[2].removeprefix("-")
            delimiter = "".join([char for char in word.strip() if char not in "'\"\\"])
            text += f"\n{body}{delimiter}\n"
        self.documents.clear()
        return text

    def _pipeline(self, node: Pipeline, depth: int) -> str:
        text = "! " * node.negated
        for i, stage in enumerate(node.stages):
            text += self.command(stage, depth)
            if i < len(node.edges):
                edge = node.edges[i]
                text += " 2>&1 | " if edge == "|&" else f" {edge} "
        return text

    def _compound(self, node: Compound, depth: int) -> str:
        pad, inside = " " * depth, depth + _STEP
        step = " " * inside
        match node:
            case Group():
                return f"{{ \n{step}{self.sequence(node.body, inside)}\n{pad}}}"
            case Subshell():
                return f"( {self.sequence(node.body, depth)} )"
            case If():
                return self._if(node.arms, node.orelse, depth)
            case For():
                words = f" in {' '.join(map(self._word, node.words))}" if node.words is not None else ' in "$@"'
                head = self.text[node.start : node.start + 6].split()[0]
                body = self.sequence(node.body, inside, closed=True)
                return f"{head} {node.name}{words};\n{pad}do\n{step}{body}\n{pad}done"
            case Counting():
                parts = [
                    "1" if part is None else self.text[part.start : part.end].lstrip()
                    for part in (node.first, node.test, node.step)
                ]
                body = self.sequence(node.body, inside, closed=True)
                return f"for (({'; '.join(parts)}))\n{pad}do\n{step}{body}\n{pad}done"
            case While():
                head = "until" if node.until else "while"
                body = self.sequence(node.body, inside, closed=True)
                return f"{head} {self.sequence(node.condition, depth)}; do\n{step}{body}\n{pad}done"
            case Case():
                return self._case(node, depth)
            case _:
                end = node.redirects[0].start if node.redirects else node.end
                return self.text[node.start : end].rstrip()

    def _word(self, word: Word) -> str:
        return self.text[word.start : word.end]

    def _if(self, arms: list[tuple[Sequence, Sequence]], orelse: Sequence | None, depth: int) -> str:
        pad, inside = " " * depth, depth + _STEP
        step = " " * inside
        (test, body), *others = arms
        text = f"if {self.sequence(test, depth)}; then\n{step}{self.sequence(body, inside, closed=True)}\n{pad}"
        if others:
            text += f"else\n{step}{self._if(others, orelse, inside)};\n{pad}"
        elif orelse is not None:
            text += f"else\n{step}{self.sequence(orelse, inside, closed=True)}\n{pad}"
        return text + "fi"

    def _case(self, node: Case, depth: int) -> str:
        pad = " " * depth
        arm_pad, body_pad = " " * (depth + _STEP), " " * (depth + 2 * _STEP)
        text = f"case {self._word(node.subject)} in \n"
        for arm in node.arms:
            patterns = " | ".join(map(self._word, arm.patterns))
            body = self.sequence(arm.body, depth + 2 * _STEP)
            shown = f"{body_pad}{body}" if arm.body.items else ""
            text += f"{arm_pad}{patterns})\n{shown}\n{arm_pad}{arm.terminator or ';;'}\n"
        return f"{text}{pad}esac"
