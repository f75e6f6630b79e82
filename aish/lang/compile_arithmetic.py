"""$((..)) to a closure: the expression is compiled once, its expansions fill slots.

Where an expansion gives more than a number ($op, or x='1+2'), the text is put together first and compiled then,
as the standard says; `arithmetic` keeps what it compiled.
"""

from __future__ import annotations

from aish.lang import compile_word
from aish.lang.arithmetic import ExpressionError, Slot, compile_tokens, compiled, constant, tokens
from aish.lang.control import CommandError
from aish.lang.source import ExpansionError, Site
from aish.lang.tree import Literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.arithmetic import Number
    from aish.lang.compile_word import Text
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Arithmetic, Node

_JOINING = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789#@")


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
            if not (value.isdecimal() and value.isascii() and (value[0] != "0" or value == "0")):
                return evaluate(rt, text(rt), site)
            slot.value = int(value)
        return _checked(rt, number, site)

    return run


def _static(src: Source, parts: list[Node]) -> tuple[Number, list[tuple[Slot, Text]]] | None:
    """The closure and its slots, if every expansion stands where an operand does. Expansions with side
    effects are left to the textual way, which may expand a second time."""
    stream: list[str | int | Slot] = []
    slots: list[tuple[Slot, Text]] = []
    try:
        for i, part in enumerate(parts):
            if isinstance(part, Literal):
                stream.extend(tokens(part.text))
                continue
            before = parts[i - 1] if i else None
            after = parts[i + 1] if i + 1 < len(parts) else None
            if not _apart(before, -1) or not _apart(after, 0) or not compile_word.is_plain(part):
                return None
            slot = Slot()
            stream.append(slot)
            slots.append((slot, compile_word.as_text(compile_word.text_part(src, part, True))))
        return compile_tokens(stream), slots
    except ExpressionError:
        return None


def _apart(neighbour: Node | None, at: int) -> bool:
    """Whether the part beside an expansion cannot be glued to its value."""
    return neighbour is None or (isinstance(neighbour, Literal) and neighbour.text[at] not in _JOINING)


def evaluate(rt: Runtime, text: str, site: Site) -> int:
    """The value of an expression's text. Raises ExpansionError at `site`."""
    value = constant(text)
    if value is not None:
        return value
    try:
        return _checked(rt, compiled(text), site)
    except ExpressionError as error:
        raise _error(str(error), site) from None


def _checked(rt: Runtime, number: Number, site: Site) -> int:
    try:
        return number(rt)
    except ExpressionError as error:
        raise _error(str(error), site) from None
    except CommandError as error:  # a readonly variable
        raise _error(error.message, site) from None


def _error(message: str, site: Site) -> ExpansionError:
    return ExpansionError(f"arithmetic: {message}", site.source, site.start, site.end)
