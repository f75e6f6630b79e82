"""${..}: a parameter, its subscript, its operator and the operator's words."""

from __future__ import annotations

from aish.lang.name_value import find_tilde
from aish.lang.scanner import VARIABLE
from aish.lang.tree import Arithmetic, Literal, Parameter, Word
from aish.lang.words import BRACE_STOPS, IN_BRACES, Words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.tree import Node, ProcessSub

NAME_START = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
NAME = NAME_START | frozenset("0123456789")
SPECIAL = frozenset("@*#?-$!")
_OPERATORS = frozenset(["##", "%%", "#", "%", "-", "=", "?", "+", "^^", "^", ",,", ",", "~~", "~"])
_TRANSFORMS = frozenset("QEPAaKkUuL")
_PATTERN_STOPS = BRACE_STOPS | {"/"}
_ARGUMENT_STOPS = BRACE_STOPS | {"<", ">"}


class Braces(Words):
    """Reads ${..}."""

    def process_substitution(self) -> ProcessSub:
        """<(..) or >(..) at the cursor."""
        raise NotImplementedError

    def name(self) -> str:
        """The name at the cursor."""
        begin = self.pos
        while True:
            text, pos, size = self.text, self.pos, len(self.text)
            while pos < size and text[pos] in NAME:
                pos += 1
            self.pos = pos
            if pos < size and text[pos] != "\\":
                return text[begin:pos]
            char = self.char()
            if char == "\\" and self.char(1) == "\n":
                self.drop_continuation(self.pos)
            elif char not in NAME:
                return self.text[begin : self.pos]

    def braced(self, start: int, quoted: bool) -> Parameter:
        """The expansion whose `${` is at the cursor."""
        self.enter(start)
        self.pos = start + 2
        self.skip_continuations()
        length = self._is_length()
        indirect = not length and self._is_indirect()
        self.pos += length or indirect
        node = Parameter(start, start, self._parameter_name())
        node.indirect = indirect
        if node.name and self.char() == "[" and node.name[0] in NAME_START:
            node.index = self.subscript()
            if not node.index.parts:
                self.pos -= 1  # the error is where the ] stands
        if length:
            node.op = "#len"
        elif node.name and not (indirect and self._listed(node)):
            self._operator(node, quoted)
        self.skip_continuations()
        if self.char() != "}" or not node.name:
            self._bad(node, start)
        else:
            self.pos += 1
        node.end = self.pos
        self.depth -= 1
        self.mark(start, node.end, VARIABLE)
        return node

    def _is_length(self) -> bool:
        """At the `#` of ${#name}, not at ${#}, ${#-word}, ${##pattern} ..."""
        if self.char() != "#":
            return False
        char = self.char(1)
        if char in NAME and char:
            return True
        return char in SPECIAL and bool(char) and self.char(2) == "}"

    def _is_indirect(self) -> bool:
        """At the `!` of ${!name}, not at ${!}, ${!-word} ..."""
        if self.char() != "!":
            return False
        char = self.char(1)
        return bool(char) and (char in NAME or (char in "@*#?" and self.char(2) in ("}", ":", "[", "/", "^", ",")))

    def _parameter_name(self) -> str:
        char = self.char()
        if char in NAME_START:
            return self.name()
        begin = self.pos
        while self.char().isdecimal() and self.char().isascii():
            self.pos += 1
        if self.pos == begin and char in SPECIAL and char:
            self.pos += 1
        return self.text[begin : self.pos]

    def _listed(self, node: Parameter) -> bool:
        """${!name[@]}: the subscripts; ${!name@}: the names that begin so."""
        if node.index is not None:
            if node.index.literal() in ("@", "*") and self.char() == "}":
                node.op, node.indirect = "!keys", False
            return node.op != ""
        if self.char() in ("@", "*") and self.char() and self.char(1) == "}" and node.name[0] in NAME_START:
            node.op, node.indirect = "!names" + self.char(), False
            self.pos += 1
            return True
        return False

    # -------------------------------------------------------------------------------------- operators

    def _operator(self, node: Parameter, quoted: bool) -> None:
        """An operator and its words, where there is one."""
        char = self.char()
        if char == ":":
            if self.char(1) == "}":
                return  # bad
            if self.char(1) not in ("-", "=", "?", "+"):
                self._slice(node)
                return
            node.colon = True
            self.pos += 1
        elif char == "/":
            self._replacement(node)
            return
        elif char == "@":
            if self.char(1) in _TRANSFORMS and self.char(1):
                node.op = "@" + self.char(1)
                self.pos += 2
            return
        op = self.char() + self.char(1)
        if op not in _OPERATORS:
            op = op[:1]
            if op not in _OPERATORS:
                return
        node.op = op
        self.pos += len(op)
        begin = self.pos
        if quoted and op in "-=?+":
            parts = self.quoted_parts(IN_BRACES)
        else:
            parts = find_tilde(self._argument_parts() if op in "-=?+" else self.unquoted_parts(BRACE_STOPS))
        node.argument = Word(begin, self.pos, parts)

    def _argument_parts(self) -> list[Node]:
        """The parts of an unquoted word up to the brace: <( ) and >( ) are what they are anywhere else."""
        parts = self.unquoted_parts(_ARGUMENT_STOPS)
        while char := self.char():
            if char == "}":
                break
            if self.char(1) == "(":
                parts.append(self.process_substitution())
            else:
                self.pos += 1
                parts.append(Literal(self.pos - 1, self.pos, char))
            parts += self.unquoted_parts(_ARGUMENT_STOPS)
        return parts

    def _replacement(self, node: Parameter) -> None:
        """/pattern/word, //pattern/word, /#pattern/word, /%pattern/word."""
        node.op = "/"
        self.pos += 1
        if self.char() in ("/", "#", "%") and self.char():
            node.op += self.char()
            self.pos += 1
        begin = self.pos
        parts: list[Node] = []
        if node.op == "//" and self.char() == "/":  # a slash right behind the // is the pattern's
            self.pos += 1
            parts.append(Literal(begin, self.pos, "/"))
        parts += self.unquoted_parts(_PATTERN_STOPS)
        node.argument = Word(begin, self.pos, find_tilde(parts) if node.op in ("/", "//") else parts)
        if self.char() == "/":
            self.pos += 1
            begin = self.pos
            node.second = Word(begin, self.pos, [])
            node.second.parts = find_tilde(self.unquoted_parts(BRACE_STOPS))
            node.second.end = self.pos

    def _slice(self, node: Parameter) -> None:
        """:offset and :offset:length, both arithmetic."""
        self.pos += 1
        if self.char() == "}":  # it is none: ${x:}
            self.pos -= 1
            return
        node.op = ":"
        node.argument = self._offset()
        if self.char() == ":":
            self.pos += 1
            node.second = self._offset()

    def _offset(self) -> Word:
        begin = self.pos
        parts = self.slice_parts()
        return Word(begin, self.pos, [Arithmetic(begin, self.pos, parts)])

    def slice_parts(self) -> list[Node]:
        """The parts of an offset: up to a `:` that belongs to no `?`, or to the brace."""
        raise NotImplementedError

    def _bad(self, node: Parameter, start: int) -> None:
        """${..} that this shell does not know: skip to the brace; expanding it is the error."""
        self.unquoted_parts(BRACE_STOPS)
        if not self.char():
            self.unterminated("parameter expansion", start, "}")
        self.pos += 1
        node.op = "bad"

    # -------------------------------------------------------------------------------------- subscripts

    def subscript(self) -> Word:
        """[subscript] at the cursor."""
        start = self.pos
        self.pos += 1
        begin = self.pos
        parts = self.subscript_parts()
        if self.char() != "]":
            self.unterminated("subscript", start, "]")
        self.pos += 1
        return Word(begin, self.pos - 1, parts)

    def subscript_parts(self) -> list[Node]:
        """Parts up to the `]` that closes the subscript, or to the end of the text."""
        raise NotImplementedError
