"""Tokens: operators, words, newlines; the bodies of here-documents, which follow the next newline."""

from __future__ import annotations

from aish.lang.braces import NAME
from aish.lang.dollar import Dollars
from aish.lang.name_value import find_tilde
from aish.lang.scanner import COMMENT, STRING, remap
from aish.lang.source import Source
from aish.lang.text import is_name
from aish.lang.tree import DoubleQuoted, Literal, Quoted, Word
from aish.lang.words import BLANKS, IN_DOCUMENT, WORD_STOPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Sequence as Offsets

    from aish.lang.tree import Node, Redirect

WORD = "word"
NUMBER = "number"
OPERATOR = "operator"
NEWLINE = "newline"
END = "end"

_OPERATOR_START = frozenset("|&;<>()")
_ENDS_OPERATOR = frozenset(" \t\n") | NAME
"""No operator goes on with these."""
_PLAIN_ENDS = frozenset(" \t\n;|&)")
"""What a word may end before that has been text alone: nothing in sight makes more of it."""
_OPERATORS = frozenset(
    ["&&", "||", ";;", ";&", ";;&", "<<", ">>", "<&", ">&", "<>", "<<-", "<<<", ">|", "|&", "|=", "&>", "&>>"]
)


class Token:
    """`text` is the operator, or the text of a word without quoting or expansion, else ''."""

    __slots__ = ("end", "kind", "start", "text", "word")

    def __init__(self, kind: str, start: int, end: int, text: str, word: Word | None = None) -> None:
        self.kind = kind
        self.start = start
        self.end = end
        self.text = text
        self.word = word


def _ends_both(line: str, delimiter: str) -> bool:
    """Whether a line of a here-document is its delimiter and the `)` of the substitution that it is in."""
    return line.startswith(delimiter) and line[len(delimiter) : len(delimiter) + 1] == ")"


def _is_descriptor(text: str) -> bool:
    """Whether `text` right before a < or > is a descriptor's number, or {name}: a variable that gets one, {name[1]}:
    an element."""
    if text[0] != "{" or text[-1] != "}":
        return text.isdecimal() and text.isascii()
    name, bracket, _ = text[1:-1].partition("[")
    return is_name(name) and (not bracket or text[-2] == "]")


class Lexer(Dollars):
    """`tok` is the token under the parser's eye; nothing behind it has been read, except a here-document's
    body. `posix` leaves aish's own operator (|=) out."""

    comments = True
    """Whether # begins one: at a prompt that can be turned off."""

    def __init__(self, source: Source, more: Callable[[], str] | None = None, *, posix: bool = False) -> None:
        super().__init__(source, more)
        self.posix = posix
        self.tok = Token(NEWLINE, 0, 0, "")
        self.previous_end = 0
        self.documents: list[Redirect] = []
        """Those of << whose body has not been reached yet."""
        self.in_pattern = False
        """Among the patterns of `case` a `|=` is a `|` and a pattern that begins with `=`."""

    def advance(self) -> Token:
        """Read the next token into `tok`."""
        self.previous_end = self.tok.end
        text, start, size = self.text, self.pos, len(self.text)
        while start < size and text[start] in BLANKS:
            start += 1
        self.pos = start
        if start == size or text[start] in "\\#":
            self.blanks()
            start = self.pos
        char = self.char()
        if not char:
            self._finish_documents()
            self.tok = Token(END, start, start, "")
        elif char == "\n":
            self.pos = start + 1
            self.tok = Token(NEWLINE, start, start + 1, "newline")
            if self.documents:
                self._finish_documents()
        elif char in _OPERATOR_START and not (char in "<>" and self.char(1) == "("):
            self.tok = self._operator_token(start)
        else:
            self.tok = self._word_token(start)
        return self.tok

    def blanks(self) -> None:
        """Skip blanks, line continuations and a comment."""
        while True:
            char = self.char()
            if char in BLANKS and char:
                self.pos += 1
            elif char == "\\" and self.char(1) == "\n":
                self.skip_continuations()
            elif char == "#" and self.comments:
                end = self.find("\n", self.pos)
                self.mark(self.pos, end if end >= 0 else len(self.text), COMMENT)
                self.pos = end if end >= 0 else len(self.text)
            else:
                return

    def _operator_token(self, start: int) -> Token:
        op = self.text[start]
        self.pos = start + 1
        while True:
            if self.text[self.pos : self.pos + 1] in _ENDS_OPERATOR:
                break
            self.skip_continuations()
            longer = op + self.char()
            if longer == op or longer not in _OPERATORS:
                break
            if longer == "|=" and (self.posix or self.in_pattern):
                break
            op = longer
            self.pos += 1
        return Token(OPERATOR, start, self.pos, op)

    def _word_token(self, start: int) -> Token:
        text, pos, size = self.text, start, len(self.text)
        while pos < size and text[pos] not in WORD_STOPS:
            pos += 1
        if start < pos < size and text[pos] in _PLAIN_ENDS and text[start] != "~":  # as most words are
            literal = text[start:pos]
            if "\0" not in literal:
                self.pos = pos
                return Token(WORD, start, pos, literal, Word(start, pos, [Literal(start, pos, literal)]))
        parts = self.unquoted_parts(WORD_STOPS)
        while self.char() in ("<", ">") and self.char(1) == "(":
            parts.append(self.process_substitution())
            parts.extend(self.unquoted_parts(WORD_STOPS))
        literal = ""
        if len(parts) == 1 and type(parts[0]) is Literal:
            literal = parts[0].text
            if self.char() in ("<", ">") and _is_descriptor(literal):
                return Token(NUMBER, start, self.pos, literal)
        if "\0" in self.text[start : self.pos]:
            self.fail("a NUL byte in a word", start, self.pos, hint="is this a text file?")
        return Token(WORD, start, self.pos, literal, Word(start, self.pos, find_tilde(parts)))

    # --------------------------------------------------------------------------------- here-documents

    def expect_document(self, redirect: Redirect, word: Word, strip: bool) -> None:
        """Remember that after the next newline the body of `redirect` follows."""
        quoted = False
        pieces: list[str] = []
        for part in word.parts:
            if isinstance(part, DoubleQuoted):
                quoted = True
                pieces.append(self.text[part.start + 1 : part.end - 1].replace("\\\n", ""))
            elif isinstance(part, Quoted):
                quoted = True
                pieces.append(part.text)
            elif isinstance(part, Literal):
                pieces.append(part.text)
            else:
                pieces.append(self.text[part.start : part.end].replace("\\\n", ""))
        redirect.document = "".join(pieces), quoted, strip
        self.documents.append(redirect)

    def _finish_documents(self) -> None:
        redirects, self.documents = self.documents, []
        for redirect in redirects:
            self._read_document(redirect)

    def _read_document(self, redirect: Redirect) -> None:
        """Read lines up to the delimiter. The end of the text ends a document too (as everywhere)."""
        assert redirect.document is not None
        delimiter, quoted, strip = redirect.document
        start = self.pos
        lines: list[tuple[int, int]] = []
        joined = False
        empty = 0
        """Lines in front that are a backslash alone: as if they were not there, in sight of the delimiter, too."""
        while True:
            begin = self.pos
            if not self.char():
                self.dangling = True
                self._ended_with(redirect, "text")
                break
            newline = self.find("\n", begin)
            end = newline if newline >= 0 else len(self.text)
            self.pos = end + (newline >= 0)
            if strip and (empty or not joined):
                while begin < end and self.text[begin] == "\t":
                    begin += 1
            line = self.text[begin:end]
            if (empty or not joined) and line == delimiter:
                del lines[len(lines) - empty :]
                break
            if not joined and self.in_substitution() and _ends_both(line, delimiter):
                self.pos = begin + len(delimiter)  # `E)` ends $(cat <<E .. too, as in bash
                self._ended_with(redirect, "substitution")
                break
            empty = empty + 1 if line == "\\" and not quoted and (empty or not joined) else 0
            joined = not quoted and (len(line) - len(line.rstrip("\\"))) % 2 == 1
            lines.append((begin, self.pos))
        finish = lines[-1][1] if lines else start
        self.mark(start, self.pos, STRING)
        redirect.target = Word(start, finish, [self._document_body(redirect.document, lines, start, finish)])

    def _ended_with(self, redirect: Redirect, what: str) -> None:
        if self.warn is not None and redirect.document is not None:
            delimiter = redirect.document[0]
            self.warn(f"the here-document ends with the {what}: no line '{delimiter}' was found", redirect.start)

    def in_substitution(self) -> bool:
        """Whether a `)` that closes a substitution is to come."""
        return False

    def changes_text(self, text: str) -> bool:
        """Whether reading `text` may put something else in a place of it: a continued line, an alias."""
        return "\\\n" in text

    def _document_body(
        self, document: tuple[str, bool, bool], lines: list[tuple[int, int]], start: int, finish: int
    ) -> Node:
        _, quoted, strip = document
        offsets: Offsets[int]
        if strip:
            text = "".join([self.text[begin:end] for begin, end in lines])
            offsets = [i for begin, end in lines for i in range(begin, end)] + [finish]
        else:
            text = self.text[start:finish]
            offsets = range(start, finish + 1)
        if quoted or not ("$" in text or "`" in text or "\\" in text):
            return Quoted(start, finish, text)
        source = Source(self.source.name, text)
        if self.changes_text(text):
            source.offsets = offsets = [*offsets]
        inner = self.nested(source)
        inner.in_document = True
        parts = self.inside(inner, offsets, lambda: inner.quoted_parts(IN_DOCUMENT))
        body = DoubleQuoted(0, len(inner.text), parts)  # shorter than `text` where a name was continued
        remap(body, offsets)
        return body
