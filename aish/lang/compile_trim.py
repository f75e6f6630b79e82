"""${x#pattern} ${x##pattern} ${x%pattern} ${x%%pattern}: what scripts do most to a value."""

from __future__ import annotations

from aish.lang import compile_parameter, compile_word
from aish.lang.pattern import compiled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.compile_transform import Change, Prepare
    from aish.lang.compile_word import Text
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Parameter


def text(src: Source, node: Parameter) -> Text:
    """The expansion of a parameter that is no list."""
    value = compile_parameter.required(src, node)
    change = _constant(src, node)
    if change is not None:
        constant = change
        return lambda rt: constant(value(rt))
    prepare = transform(src, node)

    def run(rt: Runtime) -> str:
        found = value(rt)
        return prepare(rt)(found) if found else ""  # its pattern is not expanded for nothing, as in bash

    return run


def _constant(src: Source, node: Parameter) -> Change | None:
    """The whole change, where the pattern is constant."""
    assert node.argument is not None
    word = compile_word.pattern(src, node.argument)
    if not isinstance(word, str):
        return None
    pattern = compiled(word)
    method = pattern.without_prefix if node.op[0] == "#" else pattern.without_suffix
    longest = len(node.op) == 2
    return lambda value: method(value, longest)


def transform(src: Source, node: Parameter) -> Prepare:
    """What the operator does to each value."""
    change = _constant(src, node)
    if change is not None:
        constant = change
        return lambda rt: constant
    assert node.argument is not None
    pattern = compile_word.as_text(compile_word.pattern(src, node.argument))
    longest = len(node.op) == 2
    prefix = node.op[0] == "#"

    def prepare(rt: Runtime) -> Change:
        found = compiled(pattern(rt))
        method = found.without_prefix if prefix else found.without_suffix
        return lambda value: method(value, longest)

    return prepare
