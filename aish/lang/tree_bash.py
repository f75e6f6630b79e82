"""The syntax tree of commands that the standard does not have: apart, since most scripts have none of them.

What stands in [[ ]] is in tree_conditions.
"""

from __future__ import annotations

from aish.lang.tree import Compound, For, Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.tree import Arithmetic, Sequence


class Time(Node):
    """time [-p] [pipeline]"""

    __slots__ = ("command", "posix")

    def __init__(self, start: int, end: int, command: Node | None, posix: bool) -> None:
        self.start = start
        self.end = end
        self.command = command
        self.posix = posix


class Coprocess(Node):
    """coproc [name] command: in the background, with its stdin and stdout at descriptors in the array `name`."""

    __slots__ = ("command", "name")

    def __init__(self, start: int, end: int, name: str, command: Node) -> None:
        self.start = start
        self.end = end
        self.name = name
        self.command = command


class Select(For):
    """select name [in words]; do body; done: a menu, again and again."""

    __slots__ = ()


class Counting(Compound):
    """for ((first; test; step)); do body; done. Each of the three is None where it is empty."""

    __slots__ = ("body", "first", "step", "test")

    def __init__(self, start: int, parts: list[Arithmetic | None], body: Sequence) -> None:
        super().__init__(start)
        self.first, self.test, self.step = parts
        self.body = body


class Calculation(Compound):
    """((expression)): status 0 where it is not 0."""

    __slots__ = ("expression",)

    def __init__(self, start: int, expression: Arithmetic) -> None:
        super().__init__(start)
        self.expression = expression


class Test(Compound):
    """[[ expression ]]."""

    __slots__ = ("expression",)

    def __init__(self, start: int, expression: Node) -> None:
        super().__init__(start)
        self.expression = expression
