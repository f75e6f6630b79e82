"""[subscript] to a closure: arithmetic for an indexed array, text for an associative one.

Which of the two a name is is known only when the closure runs.
"""

from __future__ import annotations

from aish.lang import compile_word
from aish.lang.arithmetic import compiled, plain
from aish.lang.arithmetic_tokens import ExpressionError, constant
from aish.lang.arrays import Indexed, SubscriptError
from aish.lang.control import CommandError
from aish.lang.source import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.arithmetic_tokens import Key
    from aish.lang.arrays import Array
    from aish.lang.compile_word import Text
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Parameter, Word


def key(src: Source, word: Word) -> Key:
    """The closure for what stands between the brackets."""
    text = compile_word.text(src, word)
    shown = src.text[word.start : word.end]
    return _constant(text) if isinstance(text, str) else computed(text, shown)


def computed(closure: Text, shown: str) -> Key:
    """The closure for a subscript that `closure` expands."""

    def run(rt: Runtime, array: Array) -> int | str:
        value = closure(rt)
        if array.associative:
            return value
        if value.isdecimal() and value.isascii() and len(value) < 19 and (value[0] != "0" or value == "0"):
            return int(value)
        return _number(rt, value, shown)

    return run


def _constant(text: str) -> Key:
    number = constant(text)
    if number is not None:
        value = number
        return lambda rt, array: text if array.associative else value
    expression = plain(text)
    if expression is None:
        return lambda rt, array: text if array.associative else _number(rt, text, text)
    known = expression

    def run(rt: Runtime, array: Array) -> int | str:
        if array.associative:
            return text
        try:
            return known(rt)
        except ExpressionError as error:
            raise SubscriptError(f"[{text[:40]}]: {error.message}") from None

    return run


def _number(rt: Runtime, text: str, shown: str) -> int:
    value = constant(text)
    if value is not None:
        return value
    try:
        return compiled(text)(rt)
    except ExpressionError as error:
        raise SubscriptError(f"[{shown[:40]}]: {error.message}") from None


def element(src: Source, node: Parameter) -> Callable[[Runtime], str | None]:
    """${name[subscript]}: the value, None where there is no such element."""
    assert node.index is not None
    key_of = key(src, node.index)
    name = node.name
    site = Site(src, node.start, node.end)
    measured = node.op == "#len"

    def get(rt: Runtime) -> str | None:
        array = rt.vars.arrays.get(name)
        if array is None:
            try:
                return _other(rt, name, key_of)
            except SubscriptError as error:
                raise rt.error_at(error, site) from None
        try:
            found = key_of(rt, array)
        except SubscriptError as error:
            raise rt.error_at(error, site) from None
        if type(found) is int and found < 0:
            if measured and array.unset:
                return None
            if measured and found + array.top + 1 < 0:  # what is not there has no length, as in bash
                raise rt.error_at(SubscriptError(f"{name}: bad array subscript"), site)
            return _from_end(rt, array, found, name)
        return array.items.get(found)

    return get


def storing(src: Source, node: Parameter) -> Callable[[Runtime, str], None]:
    """The assignment of ${name[subscript]=word}. Raises CommandError."""
    from aish.lang import subscripts

    assert node.index is not None
    key_of = key(src, node.index)
    name = node.name
    target = src.text[node.index.start - 1 - len(name) : node.index.end + 1]

    def store(rt: Runtime, value: str) -> None:
        real = subscripts.follow(rt, name)[0]
        array = rt.vars.arrays.get(real) or rt.vars.array(real) or Indexed()
        rt.vars.set_element(real, subscripts.checked_key(array, key_of(rt, array), target), value)

    return store


_DEEPEST = 50


def _other(rt: Runtime, name: str, key_of: Key) -> str | None:
    """An element of what is no array itself: a scalar, a reference, a list of the shell's."""
    array = rt.vars.array(name)
    try:
        if array is None:
            _for_its_effects(rt, key_of)
            return None
        return array.get(key_of(rt, array))
    except SubscriptError:
        raise
    except CommandError as error:
        rt.complain(f"{name}{error.message}")
        return None


def _for_its_effects(rt: Runtime, key_of: Key) -> None:
    """The subscript of what is unset has a value, too. It may refer to itself."""
    if rt.arithmetic_depth > _DEEPEST:
        return
    rt.arithmetic_depth += 1
    try:
        key_of(rt, Indexed())
    finally:
        rt.arithmetic_depth -= 1


def _from_end(rt: Runtime, array: Array, found: int, name: str) -> str | None:
    try:
        return array.get(found)
    except SubscriptError as error:
        rt.complain(f"{name}: {error.message}")
        return None
