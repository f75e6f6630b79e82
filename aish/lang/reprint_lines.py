"""Lines for reprint: what is written so far, where it is indented, redirections, the bodies of here-documents."""

from __future__ import annotations

from aish.lang.reprint_words import WrittenWords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.tree import Redirect

_ALWAYS_NUMBERED = {"<&": 0, ">&": 1, "<>": 0}
"""Operators in front of which bash writes the descriptor in any case, where the target is a number or -."""
_STANDARD = {"<": 0, "<<": 0, "<<<": 0, "<&": 0, "<>": 0}
_BOTH = frozenset(["&>", "&>>"])
_WITHOUT_COMMAND = frozenset(["time ", "time -p ", "! "])


class Lines(WrittenWords):
    """Adds to `pieces` what follows."""

    def __init__(self, source: str, *, substitution: bool = False) -> None:
        super().__init__(source)
        self.pieces: list[str] = []
        self.substitution = substitution
        """In $( ) a newline between two commands stays one."""
        self.depth = 0
        self.functions = 0
        self.joined = 0
        """Above 0 inside a list: the bodies of here-documents wait for what joins the commands."""
        self.followed = False
        """Something that joins commands comes behind this one: the bodies of its last here-documents wait, too."""
        self.waiting: list[Redirect] = []
        self.after_document = False

    def text(self) -> str:
        return "".join(self.pieces)

    def add(self, text: str) -> None:
        if text:
            self.pieces.append(text)

    def line(self, text: str = "") -> None:
        """A new line, indented."""
        self.add("\n" + " " * self.depth + text)

    def semicolon(self) -> None:
        """What ends a list in front of a reserved word; nothing behind & and a here-document.

        The & that ends a word (`a\\&`) is none: what runs in the background has a blank in front of it. Behind the
        here-document of a command in the background bash has a blank and then a `;`, which it cannot read.
        """
        if self.pieces and not "".join(self.pieces[-2:]).endswith((" &", "\n", "\n ")):
            self.add(";")

    def semicolon_behind_nothing(self) -> None:
        """`time` and `!` without a command need a `;` in front of a parenthesis; bash forgets it."""
        if self.pieces and self.pieces[-1] in _WITHOUT_COMMAND:
            self.add(";")

    def redirects(self, redirects: list[Redirect]) -> None:
        self.after_document = False
        self.add(" ".join([self._redirect(item) for item in redirects]))
        self.waiting += [item for item in redirects if item.document is not None]
        if self.waiting and not self.joined:
            self.pending_documents()

    def _redirect(self, node: Redirect) -> str:
        op = node.op
        number = f"{{{node.variable}}}" if node.variable else ""
        if node.fd is not None and not number and node.fd != _STANDARD.get(op, 1):
            number = str(node.fd)
        if node.document is not None:
            delimiter, quoted, strip = node.document
            return f"{number}<<{'-' * strip}{self.quoted(delimiter) if quoted else delimiter}"
        target = self.word(node.target)
        target = "1" if target == "|&" else target
        if op in ("<&", ">&"):
            copied = target.removesuffix("-")
            if (copied.isdecimal() and copied.isascii()) or not copied:
                number = number or str(_ALWAYS_NUMBERED[op] if node.fd is None else node.fd)
                op = op if copied else ">&"  # closing is one thing
            return f"{number}{op}{target}"
        if op == "<>":
            number = number or str(_ALWAYS_NUMBERED[op] if node.fd is None else node.fd)
        return f"{'' if op in _BOTH else number}{op} {target}"

    def documents(self, joint: str) -> None:
        """What joins two commands, and behind it the bodies that wait."""
        self.add(joint)
        if self.waiting:
            self.pending_documents()
            self.add(" ")

    def pending_documents(self) -> None:
        """The bodies of here-documents, each behind a new line."""
        if not self.waiting:
            return
        waiting, self.waiting = self.waiting, []
        self.add("\n")
        for item in waiting:
            assert item.document is not None
            self.add(f"{self.document(item)}{item.document[0]}\n")
        self.after_document = True
