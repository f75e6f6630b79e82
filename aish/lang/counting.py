"""C's kind of for, as it is read: for ((first; test; step))."""

from __future__ import annotations

from aish.lang.lexer import OPERATOR
from aish.lang.tree import Arithmetic, Literal
from aish.lang.tree_bash import Counting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.compounds import Compounds
    from aish.lang.tree import Node


def counting(parser: Compounds, start: int) -> Counting:
    """((first; test; step)), the commands, and done, with the first parenthesis under the eye."""
    at = parser.tok.start
    expression = parser.double_parenthesis()
    if expression is None:
        parser.fail("an expression in (( )) expected", at, at + 1, hint="for ((i = 0; i < 9; i++)); do ...; done")
    parts = _split_at_semicolons(expression)
    if len(parts) != 3:
        parser.fail(
            "three expressions expected between (( and ))",
            expression.start,
            expression.end,
            hint="for ((i = 0; i < 9; i++)); do ...; done",
        )
    if parser.tok.text == ";" and parser.tok.kind is OPERATOR:
        parser.advance()
    parser.skip_to_command()
    return Counting(start, parts, parser.do_or_group())


def _split_at_semicolons(expression: Arithmetic) -> list[Arithmetic | None]:
    """The expressions of C's for; None for an empty one."""
    found: list[Arithmetic | None] = []
    parts: list[Node] = []

    def finish() -> None:
        blank = all(type(part) is Literal and not part.text.strip() for part in parts)
        found.append(None if blank else Arithmetic(parts[0].start, parts[-1].end, parts.copy()))
        parts.clear()

    for part in expression.parts:
        if type(part) is not Literal:
            parts.append(part)
            continue
        at = part.start
        for i, text in enumerate(part.text.split(";")):
            if i:
                finish()
            if text:
                parts.append(Literal(at, at + len(text), text))
            at += len(text) + 1
    finish()
    return found
