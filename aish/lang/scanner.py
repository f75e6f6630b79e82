"""The cursor under lexer and parser: text that may still grow, marks for the highlighter, the error that stops.

Scanner -> Words -> Dollars -> Lexer -> Compounds -> Parser are one object in six files. A shell's lexer
cannot be separated from its parser: a word contains commands ($(..)), which contain words.
"""

from __future__ import annotations

from aish.lang.source import ParseError, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Sequence as Offsets
    from typing import NoReturn

    from aish.lang.tree import Node

MAX_DEPTH = 200
"""Levels of nesting that are read. People write fewer than 20, programs that write shell fewer than 100."""

MAX_COMMAND = 16 << 20
"""Characters of one complete command, here-documents included."""

# Kinds of marks: what a stretch of text is, for the highlighter and the completer.
KEYWORD = "keyword"
COMMAND = "command"
ARGUMENT = "argument"
ASSIGNMENT = "assignment"
FUNCTION = "function"
OPERATOR = "operator"
REDIRECT = "redirect"
STRING = "string"
VARIABLE = "variable"
COMMENT = "comment"


class Scanner:
    """`more` returns the next piece of text, or '' at the end; without it the text is all there is."""

    def __init__(self, source: Source, more: Callable[[], str] | None = None) -> None:
        self.source = source
        self.text = source.text
        self.pos = 0
        self.more = more
        self.depth = 0
        self.posix = False
        self.extended = False
        """Whether a group such as @(a|b) belongs to a word: extglob, and the right side of [[ == ]]."""
        self.forgiving = False
        """An error between backquotes is for whoever runs what stands there, as other shells have it."""
        self.in_document = False
        """What is read is the text of a here-document, where $'..' has no meaning, not even in ${x-..}."""
        self.command_start = 0
        self.dangling = False
        """True once a line continuation was the last thing in the text."""
        self.marks: list[tuple[int, int, str]] | None = None
        self.warn: Callable[[str, int], None] | None = None
        """Told of what is accepted and hardly meant: (message, where)."""

    def refill(self) -> bool:
        """Try to get more text; False at the end."""
        if self.more is None:
            return False
        piece = self.more()
        if not piece:
            self.more = None
            return False
        self.text += piece
        self.source.text = self.text
        if len(self.text) - self.command_start > MAX_COMMAND:
            self.fail(
                f"a single command longer than {MAX_COMMAND >> 20} MiB",
                self.command_start,
                self.command_start + 1,
                hint="is this a text file? An unterminated quote swallows everything after it",
            )
        return True

    def char(self, ahead: int = 0) -> str:
        """The character at the cursor (or some way ahead), '' at the end."""
        at = self.pos + ahead
        text = self.text
        if at < len(text):
            return text[at]
        while at >= len(self.text):
            if not self.refill():
                return ""
        return self.text[at]

    def find(self, char: str, start: int) -> int:
        """The offset of `char` from `start` on, -1 where the text ends first."""
        while True:
            found = self.text.find(char, start)
            if found >= 0:
                return found
            start = len(self.text)
            if not self.refill():
                return -1

    def skip_continuations(self) -> None:
        """Step over backslash-newline pairs."""
        while self.char() == "\\" and self.char(1) == "\n":
            self.pos += 2
            if not self.char():
                self.dangling = True

    def drop_continuation(self, at: int) -> None:
        """Take a backslash and a newline out of the text: nothing remembers a name with a hole in it."""
        self.source.replace(at, at + 2, "")
        self.text = self.source.text

    def mark(self, start: int, end: int, kind: str) -> None:
        """Note what a stretch of text is, when somebody wants to know."""
        if self.marks is not None:
            self.marks.append((start, end, kind))

    def enter(self, start: int) -> None:
        """One level deeper; the caller lowers `depth` again."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"nested more than {MAX_DEPTH} levels deep", start, start + 1, hint="split it into functions")

    def fail(
        self, message: str, start: int, end: int, *, hint: str | None = None, incomplete: bool = False
    ) -> NoReturn:
        """Raise ParseError about the characters from `start` to `end`."""
        error = ParseError(message, self.source, start, end, hint=hint)
        error.incomplete = incomplete
        raise error

    def unterminated(self, what: str, start: int, closer: str) -> NoReturn:
        """Raise the ParseError for something that the end of the text cut off."""
        self.fail(f"unterminated {what}", start, start + 1, hint=f"a closing {closer} is missing", incomplete=True)


def remap(node: Node, offsets: Offsets[int]) -> None:
    """Replace every offset i below `node` by offsets[i]: the tree of a text that was cut out of another."""
    pending: list[object] = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, (list, tuple)):
            pending.extend(item)
        elif hasattr(item, "start"):
            item.start = offsets[item.start]
            item.end = offsets[item.end]  # type: ignore[attr-defined]
            for cls in type(item).__mro__:
                pending.extend(
                    getattr(item, name) for name in getattr(cls, "__slots__", ()) if name not in ("start", "end")
                )
