"""Words as they were written, for reprint: only the commands in them are laid out anew, as bash does."""

from __future__ import annotations

import re

from aish.lang.text import single_quoted
from aish.lang.tree import (
    Arithmetic,
    ArrayElement,
    ArrayLiteral,
    Assign,
    CommandSub,
    DoubleQuoted,
    Literal,
    Parameter,
    ProcessSub,
    Quoted,
    Word,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.lang.tree import Node, Redirect, Sequence


class WrittenWords:
    """Texts of nodes out of the text that they were read from."""

    def __init__(self, source: str) -> None:
        self.source = source

    def substituted(self, body: Sequence) -> str:
        """The commands of $( ) and <( )."""
        raise NotImplementedError

    def word(self, word: Word) -> str:
        """Any word."""
        return self._spread(word.start, word.end, word.parts)

    def assignment(self, node: Assign) -> str:
        """name=value and the like."""
        return self._part(node)

    def raw(self, node: Arithmetic) -> str:
        """An expression, with what stands around it."""
        return self._part(node)

    def quoted(self, text: str) -> str:
        """In single quotes."""
        return single_quoted(text)

    def document(self, node: Redirect) -> str:
        """The body of a here-document, as it is read."""
        assert node.document is not None
        _, quoted, strip = node.document
        # split at newlines alone: a form feed or a carriage return begins no line
        lines = re.findall(r"[^\n]*\n|[^\n]+", self.source[node.target.start : node.target.end])
        continued = False
        body = ""
        for line in lines:
            body += line.lstrip("\t") if strip and not continued else line
            bare = line.rstrip("\n")
            continued = not quoted and (len(bare) - len(bare.rstrip("\\"))) % 2 == 1
        return body if quoted else _unfolded(body)

    def _spread(self, start: int, end: int, nodes: Iterable[Node | None], *, quoted: bool = False) -> str:
        """The text from `start` to `end`, in which some nodes lie; `quoted`: in double quotes."""
        text = ""
        for node in nodes:
            if node is None or node.end <= start:
                continue
            before = _unfolded(self.source[start : node.start])
            if isinstance(node, DoubleQuoted) and before[-1:] == "$":
                before = before[:-1]  # $".." is "..", nothing being translated
            text += before + self._part(node, quoted=quoted)
            start = node.end
        return text + _unfolded(self.source[start:end])

    def _part(self, node: Node, *, quoted: bool = False) -> str:
        match node:
            case CommandSub() if self.source[node.start] == "$":
                return f"$({self.substituted(node.body)})"
            case ProcessSub():
                return f"{node.op}({self.substituted(node.body)})"
            case Quoted():
                written = self.source[node.start : node.end]
                if written[:2] != "$'":
                    return written
                return _escaped(node.text) if quoted else self.quoted(node.text)
            case Literal():
                return _unfolded(self.source[node.start : node.end])
            case ArrayLiteral():
                return f"({' '.join(map(self._part, node.items))})"
            case DoubleQuoted():
                return self._spread(node.start, node.end, node.parts, quoted=True)
            case Word():
                return self._spread(node.start, node.end, node.parts, quoted=quoted)
            case Arithmetic():
                return self._spread(node.start, node.end, node.parts)
            case Parameter():
                words = (node.index, node.argument, node.second)
                return self._spread(node.start, node.end, words, quoted=quoted and node.op in ("-", "=", "?", "+"))
            case Assign() | ArrayElement():
                return self._spread(node.start, node.end, (node.index, node.value))
            case _:  # a tilde, `..`
                return _unfolded(self.source[node.start : node.end])


def _escaped(text: str) -> str:
    """As it stands in the word of an expansion in double quotes."""
    return "".join(["\\" + char if char in '$`"\\}' else char for char in text])


def _unfolded(text: str) -> str:
    """Without the continuations of lines; a backslash that a backslash escapes begins none."""
    if "\\\n" not in text:
        return text
    found = ""
    at = 0
    while at < len(text):
        pair = text[at : at + 2]
        if pair[0] != "\\":
            found += pair[0]
            at += 1
            continue
        found += "" if pair == "\\\n" else pair
        at += 2
    return found
