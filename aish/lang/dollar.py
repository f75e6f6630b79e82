"""What follows a dollar sign: $name, $(commands), $((arithmetic)); and `commands`. (${..} is in braces.py.)"""

from __future__ import annotations

from aish.lang.braces import NAME_START, SPECIAL, Braces
from aish.lang.scanner import VARIABLE, remap
from aish.lang.source import ParseError, Source
from aish.lang.tree import Arithmetic, CommandSub, Literal, Parameter, ProcessSub, Sequence
from aish.lang.words import QUOTING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Sequence as Offsets
    from typing import TypeVar

    from aish.lang.tree import Node

    T = TypeVar("T")

_INDEX_STOPS = QUOTING | frozenset("[]")


class Dollars(Braces):
    """Substitutions. The commands in them are read by the parser that this scanner is the lower half of."""

    def __init__(self, source: Source, more: Callable[[], str] | None = None) -> None:
        super().__init__(source, more)
        self.not_arithmetic: set[int] = set()

    def substituted(self) -> Sequence:
        """The commands up to the `)` that closes a substitution; the cursor ends behind it."""
        raise NotImplementedError

    def nested(self, source: Source) -> Dollars:
        """A parser like this one over another text."""
        raise NotImplementedError

    def whole(self) -> Sequence:
        """Everything in the text as one list of commands."""
        raise NotImplementedError

    def next(self) -> Sequence | None:
        """The next complete command; None at the end of the text. Raises ParseError."""
        raise NotImplementedError

    # ---------------------------------------------------------------------------------------- dispatch

    def dollar(self, quoted: bool) -> Node | None:
        start = self.pos
        char = self.char(1)
        while char == "\\" and self.char(2) == "\n":
            self.drop_continuation(start + 1)
            char = self.char(1)
        if char in NAME_START:
            return self._plain(start)
        if char == "{":
            return self.braced(start, quoted)
        if char == "(":
            return self._parenthesis(start)
        if char == "[":
            return self._bracket(start)
        if char in SPECIAL or char.isdecimal():
            if char and char.isascii():
                self.pos += 2
                self.mark(start, self.pos, VARIABLE)
                return Parameter(start, self.pos, char)
            return None
        if not quoted and char == "'":
            return self.ansi_quoted()
        if not quoted and char == '"':
            self.pos += 1
            return self.double_quoted()
        return None

    def _plain(self, start: int) -> Parameter:
        self.pos = start + 1
        name = self.name()
        self.mark(start, self.pos, VARIABLE)
        return Parameter(start, self.pos, name)

    # ----------------------------------------------------------------------------------------- $(..)

    def _parenthesis(self, start: int) -> Node:
        self.enter(start)
        node: Node | None = None
        if self.char(2) == "(":
            node = self.arithmetic(start, start + 3)
        if node is None:
            self.pos = start + 2
            body = self.substituted()
            node = CommandSub(start, self.pos, body)
        self.depth -= 1
        return node

    def _bracket(self, start: int) -> Arithmetic:
        """$[..], as arithmetic was written once."""
        self.enter(start)
        self.pos = start + 2
        parts = self._arithmetic_parts(start, "]") or []
        self.pos += 1
        self.depth -= 1
        self.mark(start, self.pos, VARIABLE)
        return Arithmetic(start, self.pos, parts)

    def process_substitution(self) -> ProcessSub:
        """<(..) or >(..) at the cursor."""
        start = self.pos
        self.enter(start)
        op = self.char()
        self.pos = start + 2
        body = self.substituted()
        self.depth -= 1
        return ProcessSub(start, self.pos, op, body)

    def arithmetic(self, start: int, begin: int) -> Arithmetic | None:
        """$((..)) or ((..)) whose expression begins at `begin`; None, with the cursor anywhere, where the
        parentheses turn out to be a subshell in a substitution, or in a subshell."""
        if start in self.not_arithmetic:
            return None
        marks = len(self.marks) if self.marks is not None else 0
        depth = self.depth
        self.pos = begin
        try:
            parts = self._arithmetic_parts(start)
        except ParseError as error:
            if error.incomplete:
                raise
            parts = None
        if parts is not None:
            self.pos += 2
            self.mark(start, self.pos, VARIABLE)
            return Arithmetic(start, self.pos, parts)
        self.not_arithmetic.add(start)
        self.depth = depth
        if self.marks is not None:
            del self.marks[marks:]
        return None

    def _arithmetic_parts(self, start: int, closer: str = "))") -> list[Node] | None:
        """The parts of an expression up to the `))` behind it, None where a lone `)` comes first. With another
        `closer`: of $[..] up to the ]; of an offset in ${x:..} up to a brace, or a colon that belongs to no `?`."""
        parts: list[Node] = []
        plain: list[str] = []
        begin = self.pos
        level = choices = 0
        nesting = ("(", ")") if closer == "))" else ("([", ")]")
        while True:
            char = self.char()
            here = self.pos
            if not char:
                self.unterminated("parameter expansion" if closer == "}" else "arithmetic expression", start, closer)
            part: Node | None = None
            if char == "\\" and self.char(1) == "\n":
                self.pos += 2
                continue
            if char == "$":
                part = self.dollar(True)
            elif char == "`":
                part = self.backquote(True)
            elif char == '"':
                part = self.double_quoted()
            elif closer == "}" and not level:
                if char == "}" or (char == ":" and not choices):
                    break
                choices += (char == "?") - (char == ":")
            elif closer == "]" and not level:
                if char == "]":
                    break
            elif closer == "))" and char == ")" and not level:
                if not self.char(1):
                    self.unterminated("arithmetic expression", start, "))")
                if self.char(1) != ")":
                    return None
                break
            if part is None:
                level += (char in nesting[0]) - (char in nesting[1])
                plain.append(char)
                self.pos += 1
                continue
            if plain:
                parts.append(Literal(begin, here, "".join(plain)))
                plain.clear()
            parts.append(part)
            begin = self.pos
        if plain:
            parts.append(Literal(begin, self.pos, "".join(plain)))
        return parts

    def slice_parts(self) -> list[Node]:
        return self._arithmetic_parts(self.pos - 1, "}") or []

    def subscript_parts(self) -> list[Node]:
        parts: list[Node] = []
        plain: list[str] = []
        begin = self.pos
        level = 0
        while True:
            self.run(_INDEX_STOPS, plain)
            char = self.char()
            here = self.pos
            part: Node | None = None
            if not char or (char == "]" and not level):
                break
            if char == "\\" and self.char(1) == "\n":
                self.skip_continuations()
                continue
            if char in "[]":
                level += 1 if char == "[" else -1
            else:
                part = self.quoting(char)
            if part is None:
                plain.append(char)
                self.pos += 1
                continue
            if plain:
                parts.append(Literal(begin, here, "".join(plain)))
                plain.clear()
            parts.append(part)
            begin = self.pos
        if plain:
            parts.append(Literal(begin, self.pos, "".join(plain)))
        return parts

    # ------------------------------------------------------------------------------------------- `..`

    def backquote(self, quoted: bool) -> CommandSub:
        """`commands`: one level of backslashes before $ ` \\ (and " inside quotes) is taken away first."""
        start = self.pos
        self.enter(start)
        unescaped: list[str] = []
        offsets: list[int] = []
        escapable = '$`\\"' if quoted else "$`\\"
        self.pos += 1
        while True:
            char = self.char()
            if not char:
                self.unterminated("command substitution", start, "`")
            if char == "`":
                break
            if char == "\\" and self.char(1) == "\n":  # before anything is a quote
                self.pos += 2
                continue
            if char == "\\" and self.char(1) and self.char(1) in escapable:
                self.pos += 1
                char = self.char()
            unescaped.append(char)
            offsets.append(self.pos)
            self.pos += 1
        offsets.append(self.pos)
        self.pos += 1
        body = self._between_backquotes("".join(unescaped), offsets)
        self.depth -= 1
        return CommandSub(start, self.pos, body)

    def _between_backquotes(self, text: str, offsets: list[int]) -> Sequence:
        source = Source(self.source.name, text)
        source.offsets = found = offsets.copy()
        inner = self.nested(source)
        try:
            body = self.inside(inner, found, inner.whole)
        except ParseError:
            if not self.forgiving:
                raise
            source = Source(self.source.name, text)
            source.offsets = found = offsets
            body = self._up_to_error(source)
        remap(body, found)
        return body

    def _up_to_error(self, source: Source) -> Sequence:
        """The complete commands in front of an error, and that."""
        from aish.lang.tree_broken import Broken

        inner = self.nested(source)
        inner.warn = None  # what there is to say was said when it was read for the first time
        inner.depth = self.depth
        items: list[Node] = []
        try:
            while (command := inner.next()) is not None:
                items.append(command)
        except ParseError as error:
            items.append(Broken(error.start, error.end, error.message, error.hint))
        return Sequence(0, len(inner.text), items)

    def inside(self, inner: Dollars, offsets: Offsets[int], read: Callable[[], T]) -> T:
        """What `read` returns; its errors and marks are moved to their places in this text."""
        inner.depth = self.depth
        inner.marks = None if self.marks is None else []
        try:
            return read()
        except ParseError as error:
            self.fail(
                error.message,
                offsets[error.start],
                offsets[error.end],
                hint=error.hint,
                incomplete=error.incomplete and self.dangling,
            )
        finally:
            if self.marks is not None and inner.marks is not None:
                self.marks.extend([(offsets[a], offsets[b], kind) for a, b, kind in inner.marks])
