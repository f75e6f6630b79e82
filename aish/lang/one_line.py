"""A command of several lines as history lists it: on one, as far as that is the same command."""

from __future__ import annotations

from aish.lang.lexer import NEWLINE, Token
from aish.lang.parser import Parser
from aish.lang.scanner import COMMENT
from aish.lang.source import ParseError, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.tree import Node, Sequence


def listed(text: str, *, posix: bool, extended: bool) -> list[str]:
    """The lines that a complete command, as it was read, gives: itself, behind the comments in front of it.

    What a new line is for, only the grammar knows (`in` may be a word, `)` the end of much): it becomes a `;` where
    one may stand, and a blank where the next line goes on. In quotes, here-documents, substitutions and behind
    comments new lines stay.
    """
    text = text.strip("\n")
    if "\n" not in text:
        return [text]
    parser = _Joining(Source("history", text), posix=posix)
    parser.extended = extended
    parser.forgiving = True
    try:
        command = parser.next()
    except ParseError:  # it was read with aliases, say
        command = None
    if command is None:
        return text.split("\n") if text.lstrip()[:1] == "#" else [text]
    comments = [line for line in parser.text[: command.start].split("\n") if line.strip()]
    return [*comments, parser.joined(command.start).rstrip("\n")]


class _Joining(Parser):
    """Notes what each new line was for."""

    def __init__(self, source: Source, *, posix: bool = False) -> None:
        super().__init__(source, posix=posix)
        self.marks = []
        self._inside = 0
        """Substitutions that are being read."""
        self._places: dict[int, str] = {}
        """What to put in the place of the new lines, and of the backslashes in front of them."""

    def joined(self, start: int) -> str:
        """The text from `start` on, on as few lines as can be."""
        kept = {end for _, end, kind in self.marks or [] if kind is COMMENT}
        pieces = []
        for at in sorted(self._places):
            if at < start or at in kept or self.text[at : at + 1] not in ("\n", "\\"):
                continue
            pieces += [self.text[start:at], self._places[at]]
            start = at + 1 + (self.text[at] == "\\")
        return "".join([*pieces, self.text[start:]])

    def advance(self) -> Token:
        document = bool(self.documents)
        tok = super().advance()
        if tok.kind is NEWLINE and not document and not self._inside:
            self._places[tok.start] = " "
        return tok

    def item(self) -> Node:
        node = super().item()
        if not self._separated:
            self._separates()
        return node

    def end_of_words(self) -> None:
        self._separates()
        super().end_of_words()

    def _separates(self) -> None:
        if self.tok.kind is NEWLINE and self.tok.start in self._places:
            self._places[self.tok.start] = "; "

    def substituted(self) -> Sequence:
        self._inside += 1
        try:
            return super().substituted()
        finally:
            self._inside -= 1

    def skip_continuations(self) -> None:
        while self.char() == "\\" and self.char(1) == "\n":
            if not self._inside:
                self._places[self.pos] = ""
            self.pos += 2
            if not self.char():
                self.dangling = True
