"""Words: quoting, and what a word is made of. (What follows a dollar sign is in dollar.py.)"""

from __future__ import annotations

from aish.lang.scanner import STRING, Scanner
from aish.lang.text import decode, encode, from_byte, from_codepoint
from aish.lang.tree import DoubleQuoted, Literal, Quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.tree import Node

RESERVED = frozenset(
    ["if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in", "{",
     "}", "!", "[[", "]]", "function", "select", "time", "coproc"]
)  # fmt: skip

BLANKS = " \t"
QUOTING = frozenset("'\"\\$`")
WORD_STOPS = frozenset(" \t\n|&;<>()") | QUOTING
_GROUPS = frozenset("?*+@!")
BRACE_STOPS = frozenset("}") | QUOTING
_REGEX_STOPS = WORD_STOPS - {"|"}
_GROUP_STOPS = frozenset("()") | QUOTING

# How quoted text ends and what a backslash escapes in it.
IN_STRING = "string"
IN_BRACES = "braces"
IN_DOCUMENT = "document"
_QUOTED_STOPS = {
    IN_STRING: frozenset('"$`\\'),
    IN_BRACES: frozenset("}\"$`\\'"),
    IN_DOCUMENT: frozenset("$`\\"),
}
_ESCAPED = {IN_STRING: '$`"\\', IN_BRACES: '$`"\\}', IN_DOCUMENT: "$`\\"}

_ANSI = {
    "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "?": "?",
}  # fmt: skip
_HEX_DIGITS = "0123456789abcdefABCDEF"


class Words(Scanner):
    """Reads the parts of a word. A run of plain characters becomes one Literal."""

    def dollar(self, quoted: bool) -> Node | None:
        """What a `$` at the cursor begins; None, with the cursor unmoved, where it is just a dollar sign."""
        raise NotImplementedError

    def backquote(self, quoted: bool) -> Node:
        """A `..` substitution at the cursor."""
        raise NotImplementedError

    def regex_parts(self) -> list[Node]:
        """Parts of a regular expression: up to a blank or an operator, but for those between parentheses."""
        return self.grouped_parts(_REGEX_STOPS)

    def grouped_parts(self, stops: frozenset[str]) -> list[Node]:
        """Parts up to a character in `stops` that is not between parentheses."""
        parts: list[Node] = []
        opened: list[int] = []
        while True:
            parts.extend(self.unquoted_parts(_GROUP_STOPS if opened else stops))
            char = self.char()
            if char == "(":
                opened.append(self.pos)
            elif char == ")" and opened:
                opened.pop()
            else:
                break
            parts.append(Literal(self.pos, self.pos + 1, char))
            self.pos += 1
        if opened:
            self.unterminated("group" if stops is WORD_STOPS else "group in a regular expression", opened[-1], ")")
        return parts

    def unquoted_parts(self, stops: frozenset[str]) -> list[Node]:
        """Parts up to an unquoted character in `stops`: WORD_STOPS, or inside ${..} BRACE_STOPS."""
        parts: list[Node] = []
        plain: list[str] = []
        plain_start = self.pos
        while True:
            self.run(stops, plain)
            char = self.char()
            if char == "(" and self.extended and self.pos and self.text[self.pos - 1] in _GROUPS and plain:
                parts += self._group(plain, plain_start)
                plain.clear()
                plain_start = self.pos
                continue
            if char not in QUOTING or not char:
                break
            here = self.pos
            if char == "\\" and self.char(1) == "\n":
                self.skip_continuations()
                continue
            part = self.quoting(char)
            if part is None:
                plain.append(char)
                self.pos += 1
                continue
            if plain:
                parts.append(Literal(plain_start, here, "".join(plain)))
                plain.clear()
            parts.append(part)
            plain_start = self.pos
        if plain:
            parts.append(Literal(plain_start, self.pos, "".join(plain)))
        return parts

    def _group(self, plain: list[str], plain_start: int) -> list[Node]:
        """The parts up to the end of a group of extglob, whose ( is at the cursor."""
        start = self.pos
        self.enter(start)
        plain.append("(")
        self.pos += 1
        parts: list[Node] = []
        inner = self.unquoted_parts(_GROUP_STOPS)
        while self.char() == "(":
            self.pos += 1
            inner += [Literal(self.pos - 1, self.pos, "("), *self.unquoted_parts(_GROUP_STOPS)]
            if self.char() == ")":
                self.pos += 1
                inner += [Literal(self.pos - 1, self.pos, ")"), *self.unquoted_parts(_GROUP_STOPS)]
        if self.char() != ")":
            self.unterminated("group of a pattern", start, ")")
        self.pos += 1
        self.depth -= 1
        parts.append(Literal(plain_start, start + 1, "".join(plain)))
        return [*parts, *inner, Literal(self.pos - 1, self.pos, ")")]

    def run(self, stops: frozenset[str], plain: list[str]) -> None:
        """Add the characters up to the next one in `stops`."""
        while True:
            text = self.text
            begin = pos = self.pos
            size = len(text)
            while pos < size and text[pos] not in stops:
                pos += 1
            if pos > begin:
                plain.append(text[begin:pos])
                self.pos = pos
            if pos < size or not self.refill():
                return

    def quoting(self, char: str) -> Node | None:
        """What a quote, a backslash, a `$` or a backquote at the cursor begins; None where it is plain text."""
        start = self.pos
        if char == "'":
            end = self.find("'", start + 1)
            if end < 0:
                self.unterminated("single quote", start, "'")
            self.pos = end + 1
            self.mark(start, self.pos, STRING)
            return Quoted(start, self.pos, self.text[start + 1 : end])
        if char == '"':
            return self.double_quoted()
        if char == "$":
            return self.dollar(False)
        if char == "`":
            return self.backquote(False)
        escaped = self.char(1)
        if not escaped:
            return None
        self.pos += 2
        return Quoted(start, self.pos, escaped)

    def double_quoted(self) -> DoubleQuoted:
        """A ".." at the cursor."""
        start = self.pos
        self.enter(start)
        self.pos += 1
        parts = self.quoted_parts(IN_STRING)
        if not self.char():
            self.unterminated("double quote", start, '"')
        self.pos += 1
        self.depth -= 1
        self.mark(start, self.pos, STRING)
        return DoubleQuoted(start, self.pos, parts)

    def quoted_parts(self, mode: str) -> list[Node]:
        """Parts of quoted text: up to the closing `"` or `}`, or of a here-document to the end."""
        stops = _QUOTED_STOPS[mode]
        parts: list[Node] = []
        plain: list[str] = []
        plain_start = self.pos
        protected = self.pos
        while True:
            self.run(stops, plain)
            char = self.char()
            here = self.pos
            part: Node | None = None
            if char == "\\":
                self._backslash(mode, plain)
                continue
            if mode == IN_BRACES and (char == "'" or (char == "}" and here < protected)):
                if here >= protected:
                    protected = self._single_quoted_end()
                plain.append(char)
                self.pos += 1
                continue
            if char == "$":
                if mode == IN_BRACES and self.char(1) == '"':  # $".." is ".."
                    self.pos += 1
                    continue
                ansi = mode == IN_BRACES and not (self.in_document or self.posix) and self.char(1) == "'"
                part = self.ansi_quoted() if ansi else self.dollar(True)
            elif char == "`":
                part = self.backquote(mode != IN_DOCUMENT)
            elif char == '"' and mode == IN_BRACES:
                part = self.double_quoted()
            else:
                break
            if part is None:
                plain.append(char)
                self.pos += 1
                continue
            if plain:
                parts.append(Literal(plain_start, here, "".join(plain)))
                plain.clear()
            parts.append(part)
            plain_start = self.pos
        if plain:
            parts.append(Literal(plain_start, self.pos, "".join(plain)))
        return parts

    def _single_quoted_end(self) -> int:
        """Where the '..' ends that begins at the cursor, inside "${x-..}": it is plain text there, but bash does not
        look for the closing brace in it. Where it would reach over a closing brace and quote, it is an apostrophe."""
        end = self.text.find("'", self.pos + 1)
        between = self.text[self.pos : end]
        if self.posix or end < 0 or '}"' in between or "\n" in between:
            return self.pos + 1
        return end + 1

    def _backslash(self, mode: str, plain: list[str]) -> None:
        escaped = self.char(1)
        self.pos += 2 if escaped else 1
        if escaped == "\n":
            return
        if not escaped or escaped not in _ESCAPED[mode]:
            plain.append("\\")
        plain.append(escaped)

    def ansi_quoted(self) -> Quoted:
        """A $'..' at the cursor."""
        start = self.pos
        self.pos += 2
        found: list[str] = []
        while True:
            char = self.char()
            if not char:
                self.unterminated("$'..' quote", start, "'")
            self.pos += 1
            if char == "'":
                break
            if char == "\\":
                char = self._ansi_escape()
            found.append(char)
        self.mark(start, self.pos, STRING)
        text = "".join(found).partition("\0")[0]
        if not text.isprintable():  # bytes that were written one by one may be characters together
            text = decode(encode(text))
        return Quoted(start, self.pos, text)

    def _ansi_escape(self) -> str:
        char = self.char()
        self.pos += 1
        if char in _ANSI:
            return _ANSI[char]
        if char in "01234567" and char:
            self.pos -= 1
            return from_byte(self._number("01234567", 3, 8))
        if char == "x":
            braced = self.char() == "{"
            self.pos += braced
            value = self._number(_HEX_DIGITS, 8 if braced else 2, 16)
            self.pos += braced and self.char() == "}"
            return from_byte(value) if value >= 0 else "\\x"
        if char in ("u", "U"):
            value = self._number(_HEX_DIGITS, 4 if char == "u" else 8, 16)
            return from_codepoint(value) if value >= 0 else "\\" + char
        if char == "c":
            control = self.char()
            if control == "'":  # it closes the quote
                return "\\c"
            self.pos += 1 + (control == "\\" == self.char(1))
            return chr(ord(control.upper()) ^ 0x40 if control.isascii() and control else 0)
        return "\\" + char

    def _number(self, digits: str, most: int, base: int) -> int:
        """The number at the cursor, of at most `most` digits; -1 where there is none."""
        begin = self.pos
        while self.pos - begin < most and self.char() and self.char() in digits:
            self.pos += 1
        return int(self.text[begin : self.pos], base) if self.pos > begin else -1
