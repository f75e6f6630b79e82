"""${!name ..}: the value of `name` is the parameter that is expanded. What it is shows at run time, so the
expansion is compiled then, once for each different parameter."""

from __future__ import annotations

from aish.lang import compile_parameter
from aish.lang.arrays import SubscriptError
from aish.lang.source import ExpansionError, Site
from aish.lang.subscripts import parts, split
from aish.lang.tree import Literal, Parameter, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from aish.lang.compile_word import Emit, Text
    from aish.lang.fields import Piece
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source

    Closure = TypeVar("Closure")

_CACHE_SIZE = 100
_SPECIAL = frozenset("@*#?-$!")


def text(src: Source, node: Parameter, quoted: bool) -> Text:
    """The expansion as one string."""
    closure_for = _compiling(src, node, lambda twin: compile_parameter.text(src, twin, quoted))
    if node.op == "":
        return lambda rt: _reference(rt, node) or closure_for(rt)(rt)
    return lambda rt: closure_for(rt)(rt)


def emit(src: Source, node: Parameter, quoted: bool) -> Emit:
    """The expansion as pieces."""
    closure_for = _compiling(src, node, lambda twin: compile_parameter.emit(src, twin, quoted))
    from aish.lang.fields import QUOTED, SPLIT

    kind = QUOTED if quoted else SPLIT

    def add(rt: Runtime, pieces: list[Piece]) -> None:
        name = _reference(rt, node) if node.op == "" else None
        if name is not None:
            pieces.append((kind, name))
        else:
            closure_for(rt)(rt, pieces)

    return add


def _reference(rt: Runtime, node: Parameter) -> str | None:
    """What a `declare -n` refers to: ${!name} gives its name, not its value."""
    if node.index is not None or node.name not in rt.vars.references:
        return None
    if not rt.vars.references[node.name]:
        return ""
    from aish.lang.subscripts import resolve

    name, subscript = resolve(rt, node.name)
    return name if subscript is None else f"{name}[{subscript}]"


def _compiling(
    src: Source, node: Parameter, compile_twin: Callable[[Parameter], Closure]
) -> Callable[[Runtime], Closure]:
    """Gives the closure for what `node` means now."""
    pointer = Parameter(node.start, node.end, node.name)
    pointer.index = node.index
    get: Callable[[Runtime], str | None] = compile_parameter.text(src, pointer, False)
    if not compile_parameter.is_list(pointer):
        get = compile_parameter.maybe(src, pointer)
    site = Site(src, node.start, node.end)
    known: dict[str, Closure] = {}

    def closure_for(rt: Runtime) -> Closure:
        target = _reference(rt, node) or get(rt)
        if target is None and rt.vars.knows(node.name):
            target = node.name
        if target is None:
            raise ExpansionError(f"{node.name}: not set, so it names no parameter", site.source, site.start, site.end)
        closure = known.get(target)
        if closure is None:
            try:
                twin = _twin(node, target)
            except SubscriptError as error:
                raise rt.error_at(error, site) from None
            if twin is None:
                raise ExpansionError(f"'{target}': not a parameter's name", site.source, site.start, site.end)
            if len(known) >= _CACHE_SIZE:
                known.clear()
            closure = known[target] = compile_twin(twin)
        return closure

    return closure_for


def _twin(node: Parameter, target: str) -> Parameter | None:
    """The node with `target` instead of its name; None where that is no parameter."""
    if target in _SPECIAL or (target.isdecimal() and target.isascii()):
        found: tuple[str, str | None] | None = (target, None)
    else:
        found = split(target)
    if found is None:
        return None
    twin = Parameter(node.start, node.end, found[0], node.op, node.argument)
    twin.colon, twin.second = node.colon, node.second
    if found[1] is not None:
        twin.index = _index(node, found[1])
    return twin


def _index(node: Parameter, subscript: str) -> Word:
    """A subscript from text: parsed where something in it is to be expanded. Raises SubscriptError."""
    if not any(char in subscript for char in "$`'\"\\"):
        return Word(node.start, node.end, [Literal(node.start, node.end, subscript)])
    return Word(node.start, node.end, parts(subscript))
