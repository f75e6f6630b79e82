"""The syntax tree inside [[ ]]: apart, since most scripts have none. The command itself is Test of aish.lang.tree."""

from __future__ import annotations

from aish.lang.tree import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.tree import Word


class TestJoin(Node):
    """left && right, left || right inside [[ ]]."""

    __slots__ = ("left", "op", "right")

    def __init__(self, start: int, end: int, op: str, left: Node, right: Node) -> None:
        self.start = start
        self.end = end
        self.op = op
        self.left = left
        self.right = right


class TestNot(Node):
    """! expression inside [[ ]]."""

    __slots__ = ("inner",)

    def __init__(self, start: int, end: int, inner: Node) -> None:
        self.start = start
        self.end = end
        self.inner = inner


class TestGroup(Node):
    """( expression ) inside [[ ]]."""

    __slots__ = ("inner",)

    def __init__(self, start: int, end: int, inner: Node) -> None:
        self.start = start
        self.end = end
        self.inner = inner


class TestUnary(Node):
    """-op word inside [[ ]]; a lone word is -n word."""

    __slots__ = ("op", "word")

    def __init__(self, start: int, end: int, op: str, word: Word) -> None:
        self.start = start
        self.end = end
        self.op = op
        self.word = word


class TestBinary(Node):
    """word op word inside [[ ]]."""

    __slots__ = ("left", "op", "right")

    def __init__(self, start: int, end: int, op: str, left: Word, right: Word) -> None:
        self.start = start
        self.end = end
        self.op = op
        self.left = left
        self.right = right
