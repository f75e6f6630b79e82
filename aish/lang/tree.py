"""The syntax tree. Every node carries its range in the source: `start` and `end`, offsets of characters.

    words       Word = a list of parts:
                Literal, Quoted, DoubleQuoted, Parameter, CommandSub, ProcessSub, Arithmetic, Tilde;
                in assignments Target (name[subscript]=) and ArrayLiteral ((..))
    commands    Simple, Pipeline, AndOr, Sequence, Background,
                Subshell, Group, If, For, While, Case, Function;
                those that the standard does not have are in tree_bash

A tree is built once by the parser, compiled once to closures, and never walked again.
"""

from __future__ import annotations


class Node:
    """Anything with a range."""

    __slots__ = ("end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end

    def __repr__(self) -> str:
        fields = [
            f"{name}={getattr(self, name)!r}"
            for cls in type(self).__mro__
            for name in getattr(cls, "__slots__", ())
            if name not in ("start", "end")
        ]
        return f"{type(self).__name__}[{self.start}:{self.end}]({', '.join(fields)})"


# ---------------------------------------------------------------------------------------------- words


class Literal(Node):
    """Unquoted text: pathname patterns in it are active."""

    __slots__ = ("text",)

    def __init__(self, start: int, end: int, text: str) -> None:
        self.start = start
        self.end = end
        self.text = text


class Quoted(Node):
    """Text that stands for itself: '..', \\c, $'..'."""

    __slots__ = ("text",)

    def __init__(self, start: int, end: int, text: str) -> None:
        self.start = start
        self.end = end
        self.text = text


class DoubleQuoted(Node):
    """ "..": its parts are expanded, never split. Literal parts in it are quoted."""

    __slots__ = ("parts",)

    def __init__(self, start: int, end: int, parts: list[Node]) -> None:
        self.start = start
        self.end = end
        self.parts = parts


class Parameter(Node):
    """$name or ${name op argument}.

    `op` is '' (plain), '#len' (${#name}), one of
        - = ? +            with `colon`; `argument` is the word
        # ## % %%          `argument` is the pattern
        / // /# /%         `argument` is the pattern, `second` the replacement, None without one
        ^ ^^ , ,, ~ ~~     `argument` is the pattern
        :                  `argument` is the offset, `second` the length: a Word of one Arithmetic
        @Q @E ...          without words
        !keys              ${!name[@]}
        !names@ !names*    ${!name@}
    or 'bad' for what this shell does not know: an error when it is expanded, not when it is read, as everywhere.
    `index` is what stands between [ and ], None without them. `indirect`: ${!name ..}.
    """

    __slots__ = ("argument", "colon", "index", "indirect", "name", "op", "second")

    def __init__(self, start: int, end: int, name: str, op: str = "", argument: Word | None = None) -> None:
        self.start = start
        self.end = end
        self.name = name
        self.op = op
        self.colon = False
        self.indirect = False
        self.argument = argument
        self.second: Word | None = None
        self.index: Word | None = None


class CommandSub(Node):
    """$(..) or `..`."""

    __slots__ = ("body",)

    def __init__(self, start: int, end: int, body: Sequence) -> None:
        self.start = start
        self.end = end
        self.body = body


class ProcessSub(Node):
    """<(..) or >(..): the name of a file that the commands write to, or read from. `op` is < or >."""

    __slots__ = ("body", "op")

    def __init__(self, start: int, end: int, op: str, body: Sequence) -> None:
        self.start = start
        self.end = end
        self.op = op
        self.body = body


class Arithmetic(Node):
    """$((..)), $[..], or what a Calculation has between its parentheses: `parts` is the text with its expansions."""

    __slots__ = ("parts",)

    def __init__(self, start: int, end: int, parts: list[Node]) -> None:
        self.start = start
        self.end = end
        self.parts = parts


class Tilde(Node):
    """~ or ~user at the beginning of a word, or of a part of an assignment's value. `bash`: in what only looks like
    an assignment, where it is text in posix mode."""

    __slots__ = ("bash", "user")

    def __init__(self, start: int, end: int, user: str, bash: bool = False) -> None:
        self.start = start
        self.end = end
        self.user = user
        self.bash = bash


class Word(Node):
    """A list of parts that are expanded one after the other."""

    __slots__ = ("parts",)

    def __init__(self, start: int, end: int, parts: list[Node]) -> None:
        self.start = start
        self.end = end
        self.parts = parts

    def literal(self) -> str | None:
        """The text of a word without any quoting or expansion, else None: reserved words, names, digits."""
        parts = self.parts
        if len(parts) == 1 and type(parts[0]) is Literal:
            return parts[0].text
        return None


# ------------------------------------------------------------------------------------------- commands


class Assign(Node):
    """name=value before, or instead of, a command word. `append` is True for name+=value, `index` is what stands
    in name[index]=value, and an array's value is a Word of one ArrayLiteral."""

    __slots__ = ("append", "index", "name", "value")

    def __init__(self, start: int, end: int, name: str, value: Word, append: bool, index: Word | None = None) -> None:
        self.start = start
        self.end = end
        self.name = name
        self.value = value
        self.append = append
        self.index = index


class Target(Node):
    """name[index]= or name[index]+= at the beginning of an assignment's word."""

    __slots__ = ("append", "index", "name")

    def __init__(self, start: int, end: int, name: str, index: Word, append: bool) -> None:
        self.start = start
        self.end = end
        self.name = name
        self.index = index
        self.append = append


class ArrayLiteral(Node):
    """( elements ) in an assignment."""

    __slots__ = ("items",)

    def __init__(self, start: int, end: int, items: list[ArrayElement]) -> None:
        self.start = start
        self.end = end
        self.items = items


class ArrayElement(Node):
    """word, [index]=word or [index]+=word between the parentheses."""

    __slots__ = ("append", "index", "value")

    def __init__(self, start: int, end: int, value: Word, append: bool, index: Word | None) -> None:
        self.start = start
        self.end = end
        self.value = value
        self.append = append
        self.index = index


class Redirect(Node):
    """[fd]op target. `op`: < > >| >> <> <& >& << <<< &> &>>; for << the target is the document's body.

    `variable` is the name in {name}op target: a new descriptor, whose number it gets. `document` is of << the
    delimiter, whether it was quoted, and whether tabs are stripped (<<-).
    """

    __slots__ = ("document", "fd", "op", "target", "variable")

    def __init__(self, start: int, end: int, op: str, fd: int | None, target: Word) -> None:
        self.start = start
        self.end = end
        self.op = op
        self.fd = fd
        self.target = target
        self.variable: str | None = None
        self.document: tuple[str, bool, bool] | None = None


class Simple(Node):
    """Assignments, words and redirections; any of the three may be empty, but not all."""

    __slots__ = ("assigns", "redirects", "words")

    def __init__(
        self, start: int, end: int, assigns: list[Assign], words: list[Word], redirects: list[Redirect]
    ) -> None:
        self.start = start
        self.end = end
        self.assigns = assigns
        self.words = words
        self.redirects = redirects


class Pipeline(Node):
    """a | b |= c, or ! a. `edges[i]`, one of | |& |=, joins `stages[i]` and `stages[i + 1]`."""

    __slots__ = ("edges", "negated", "stages")

    def __init__(self, start: int, end: int, stages: list[Node], edges: list[str], negated: bool) -> None:
        self.start = start
        self.end = end
        self.stages = stages
        self.edges = edges
        self.negated = negated


class AndOr(Node):
    """a && b || c, from the left: `rest` holds (operator, pipeline)."""

    __slots__ = ("first", "rest")

    def __init__(self, start: int, end: int, first: Node, rest: list[tuple[str, Node]]) -> None:
        self.start = start
        self.end = end
        self.first = first
        self.rest = rest


class Background(Node):
    """command &"""

    __slots__ = ("command",)

    def __init__(self, start: int, end: int, command: Node) -> None:
        self.start = start
        self.end = end
        self.command = command


class Sequence(Node):
    """Commands one after the other."""

    __slots__ = ("items",)

    def __init__(self, start: int, end: int, items: list[Node]) -> None:
        self.start = start
        self.end = end
        self.items = items


class Compound(Node):
    """Base of the commands that take redirections as a whole."""

    __slots__ = ("redirects",)

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self.redirects: list[Redirect] = []


class Subshell(Compound):
    """( body )"""

    __slots__ = ("body",)

    def __init__(self, start: int, body: Sequence) -> None:
        super().__init__(start)
        self.body = body


class Group(Compound):
    """{ body; }"""

    __slots__ = ("body",)

    def __init__(self, start: int, body: Sequence) -> None:
        super().__init__(start)
        self.body = body


class If(Compound):
    """if/elif arms of (condition, body), and the else part."""

    __slots__ = ("arms", "orelse")

    def __init__(self, start: int, arms: list[tuple[Sequence, Sequence]], orelse: Sequence | None) -> None:
        super().__init__(start)
        self.arms = arms
        self.orelse = orelse


class For(Compound):
    """for name [in words]; do body; done. `words` is None without `in`: the positional parameters."""

    __slots__ = ("body", "name", "words")

    def __init__(self, start: int, name: str, words: list[Word] | None, body: Sequence) -> None:
        super().__init__(start)
        self.name = name
        self.words = words
        self.body = body


class While(Compound):
    """while or until."""

    __slots__ = ("body", "condition", "until")

    def __init__(self, start: int, condition: Sequence, body: Sequence, until: bool) -> None:
        super().__init__(start)
        self.condition = condition
        self.body = body
        self.until = until


class CaseArm(Node):
    """pattern | pattern) body, ended by ;; ;& or ;;& ."""

    __slots__ = ("body", "patterns", "terminator")

    def __init__(self, start: int, end: int, patterns: list[Word], body: Sequence, terminator: str) -> None:
        self.start = start
        self.end = end
        self.patterns = patterns
        self.body = body
        self.terminator = terminator


class Case(Compound):
    """case subject in arms esac."""

    __slots__ = ("arms", "subject")

    def __init__(self, start: int, subject: Word, arms: list[CaseArm]) -> None:
        super().__init__(start)
        self.subject = subject
        self.arms = arms


class Function(Node):
    """name() command."""

    __slots__ = ("body", "name")

    def __init__(self, start: int, end: int, name: str, body: Node) -> None:
        self.start = start
        self.end = end
        self.name = name
        self.body = body

    @property
    def body_range(self) -> tuple[int, int]:
        """Where the body stands."""
        return self.body.start, self.body.end
