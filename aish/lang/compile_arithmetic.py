"""$((..)) to a closure: the expression is compiled once, its expansions fill slots.

Where an expansion gives more than a number ($op, or x='1+2'), the text is put together first and compiled then,
as the standard says; `arithmetic` keeps what it compiled.
"""

from __future__ import annotations

from aish.lang import compile_word
from aish.lang.arithmetic import compile_tokens, compiled
from aish.lang.arithmetic_tokens import ExpressionError, Slot, constant, decimal, known, tokens
from aish.lang.control import CommandError
from aish.lang.source import ExpansionError, Site
from aish.lang.tree import Literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.arithmetic import Number
    from aish.lang.arithmetic_tokens import Key
    from aish.lang.compile_word import Text
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Arithmetic, Node

_JOINING = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789#@[]\0")


def arithmetic(src: Source, node: Arithmetic) -> Number:
    """The value of $((..)). Raises ExpansionError when it has none."""
    site = Site(src, node.start, node.end)
    static = _static(src, node.parts)
    if static is not None and not static[1]:
        number = static[0]
        return lambda rt: _checked(rt, number, site)
    parts = [compile_word.text_part(src, part, True) for part in node.parts]
    text = compile_word.as_text(compile_word.joined(parts))
    if static is None:
        return lambda rt: evaluate(rt, text(rt), site)
    number, slots = static

    def run(rt: Runtime) -> int:
        for slot, closure in slots:
            value = closure(rt)
            found = known.get(value)
            if found is None:
                found = decimal(value)
                if found is None:
                    return evaluate(rt, text(rt), site)
            slot.value = found
        try:
            return number(rt)
        except (ExpressionError, CommandError) as error:
            raise _error(error, site) from None

    return run


def _static(src: Source, parts: list[Node]) -> tuple[Number, list[tuple[Slot, Text]]] | None:
    """The closure and its slots, if every expansion stands where an operand does, or in a subscript. Others, and
    those with side effects, are left to the textual way, which may expand a second time."""
    holes = _Holes(src, [part for part in parts if not isinstance(part, Literal)])
    text = "".join([part.text if isinstance(part, Literal) else "\0" for part in parts])
    try:
        stream = tokens(text, holes)
        return compile_tokens(stream), holes.slots
    except ExpressionError:
        return None


class _Holes:
    """Hands out the expansions in the order in which they stand."""

    def __init__(self, src: Source, parts: list[Node]) -> None:
        self.src = src
        self.parts = iter(parts)
        self.slots: list[tuple[Slot, Text]] = []

    def slot(self, before: str, after: str) -> Slot:
        part = next(self.parts)
        if before in _JOINING or after in _JOINING or not compile_word.is_plain(part):
            raise ExpressionError("more than an operand, perhaps")
        slot = Slot()
        self.slots.append((slot, compile_word.as_text(compile_word.text_part(self.src, part, True))))
        return slot

    def key(self, subscript: str) -> Key:
        from aish.lang.compile_subscript import computed

        pieces = [piece.replace('"', "").replace("'", "") for piece in subscript.split("\0")]
        texts: list[str | Text] = [pieces[0]]
        for piece in pieces[1:]:
            texts += [compile_word.text_part(self.src, next(self.parts), True), piece]
        return computed(compile_word.as_text(compile_word.joined(texts)), subscript.replace("\0", "$.."))


def evaluate(rt: Runtime, text: str, site: Site) -> int:
    """The value of an expression's text. Raises ExpansionError at `site`."""
    value = constant(text)
    if value is not None:
        return value
    try:
        return _checked(rt, compiled(text), site)
    except ExpressionError as error:
        raise _error(error, site) from None


def _checked(rt: Runtime, number: Number, site: Site) -> int:
    try:
        return number(rt)
    except (ExpressionError, CommandError) as error:
        raise _error(error, site) from None


def _error(error: ExpressionError | CommandError, site: Site) -> ExpansionError:
    message = error.message if isinstance(error, CommandError) else str(error)  # a readonly variable
    return ExpansionError(f"arithmetic: {message}", site.source, site.start, site.end)
