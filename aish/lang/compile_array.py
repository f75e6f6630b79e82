"""Assignments to arrays, to closures: name[subscript]=value, name=(elements)."""

from __future__ import annotations

from aish.lang import compile_subscript, compile_word, subscripts
from aish.lang.arrays import Associative, Indexed
from aish.lang.compile_assign import shown
from aish.lang.control import CommandError
from aish.lang.source import Site
from aish.lang.tree import ArrayLiteral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.arithmetic_tokens import Key
    from aish.lang.arrays import Array
    from aish.lang.compile_assign import Store
    from aish.lang.compile_word import Fields, Text
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.tree import ArrayElement, Assign

    Entry = tuple[Key | None, bool, str]
    """(subscript or None, appends, value)"""


class Compound(str):
    """A word name=(..) among the arguments of `declare` and its kin: its text, with what is assigned."""

    __slots__ = ("append", "entries", "name")

    name: str
    append: bool
    entries: list[Entry]


def element(src: Source, node: Assign, value: Text) -> Store:
    """name[subscript]=value"""
    assert node.index is not None
    name, append, empty = node.name, node.append, not node.index.parts
    key_of = compile_subscript.key(src, node.index)
    target = src.text[node.start : node.index.end + 1]
    site = Site(src, node.start, node.end)

    def put(rt: Runtime, real: str, text: str) -> None:
        variables = rt.vars
        array = variables.arrays.get(real) or variables.array(real) or Indexed()
        key = subscripts.checked_key(array, key_of(rt, array), target)
        if key in ("@", "*") and not array.associative:
            raise CommandError(f"{target}: bad array subscript")
        variables.set_element(real, key, text, append=append)

    def store(rt: Runtime) -> str:
        text = value(rt)
        try:
            if empty:
                raise CommandError(f"{target}: bad array subscript", hint="a subscript stands between the brackets")
            variables = rt.vars
            if name in variables.references:
                real = _plain_target(rt, name)
                subscripts.at_home(rt, real, lambda: put(rt, real, text))
            else:
                put(rt, name, text)
        except CommandError as error:
            raise rt.error_at(error, site) from None
        return shown(target, text) if rt.xtrace else ""

    return store


def _plain_target(rt: Runtime, name: str) -> str:
    """The array that a reference refers to."""
    real, subscript = subscripts.resolve(rt, name)
    if subscript is not None:
        raise CommandError(f"{real}[{subscript}]: an element has no elements")
    return real


# ---------------------------------------------------------------------------------------- name=(..)


def whole(src: Source, node: Assign) -> Store:
    """name=(..)"""
    entries_of = entries(src, node)
    name, append = node.name, node.append
    site = Site(src, node.start, node.end)

    def store(rt: Runtime) -> str:
        found = entries_of(rt)
        try:
            real = _plain_target(rt, name) if name in rt.vars.references else name
            subscripts.at_home(rt, real, lambda: fill(rt, real, found, append))
        except CommandError as error:
            raise rt.error_at(error, site) from None
        if not rt.xtrace:
            return ""
        from aish.lang.reprint import assignment

        return assignment(src, node)

    return store


def entries(src: Source, node: Assign) -> Callable[[Runtime], list[Entry]]:
    """The closure that expands what stands between the parentheses, before anything is assigned."""
    literal = node.value.parts[0]
    assert isinstance(literal, ArrayLiteral)
    if all(item.index is None for item in literal.items):
        fields = compile_word.argument_list([compile_word.fields(src, item.value) for item in literal.items])
        return lambda rt: [(None, False, value) for value in fields(rt)]
    steps = [_entry(src, item) for item in literal.items]

    def run(rt: Runtime) -> list[Entry]:
        found: list[Entry] = []
        for step in steps:
            step(rt, found)
        return found

    return run


def _entry(src: Source, item: ArrayElement) -> Callable[[Runtime, list[Entry]], None]:
    if item.index is None:
        fields: Fields = compile_word.argument_list([compile_word.fields(src, item.value)])
        return lambda rt, found: found.extend([(None, False, value) for value in fields(rt)])
    index = compile_word.text(src, item.index)
    text = compile_word.as_text(compile_word.text(src, item.value))
    append = item.append
    if isinstance(index, str):
        key_of = compile_subscript.key(src, item.index)
        return lambda rt, found: found.append((key_of, append, text(rt)))
    written = src.text[item.index.start : item.index.end]

    def step(rt: Runtime, found: list[Entry]) -> None:
        subscript = index(rt)  # once, and before the value
        found.append((compile_subscript.computed(lambda rt: subscript, written), append, text(rt)))

    return step


def fill(rt: Runtime, name: str, found: list[Entry], append: bool) -> None:
    """Assign (..) to `name`, instead of what is there or behind it. Raises CommandError."""
    variables = rt.vars
    before = variables.arrays.get(name)
    variables.check(name)
    if append:
        array = variables.writable(name)
    else:
        array = Associative() if before is not None and before.associative else Indexed()
        variables.put(name, array)
    array.unset = False
    if array.associative and found and found[0][0] is None:
        _fill_pairs(rt, name, found)
        return
    letters = variables.attributes.get(name)
    if not letters and not array.associative and all(key is None for key, _, _ in found):
        at = array.next()
        for _, _, value in found:
            array.set(at, value)
            at += 1
        return
    _fill_entries(rt, name, array, found)


def _fill_entries(rt: Runtime, name: str, array: Array, found: list[Entry]) -> None:
    at: int | str = -1
    for key_of, append, value in found:
        if key_of is not None:
            at = subscripts.checked_key(array, key_of(rt, array), name)
        elif array.associative:
            rt.complain(f"{name}: {value}: an element of an associative array needs a subscript")
            continue
        else:
            at = at + 1 if isinstance(at, int) and at >= 0 else array.next()
        rt.vars.set_element(name, at, value, append=append)


def _fill_pairs(rt: Runtime, name: str, found: list[Entry]) -> None:
    """name=(key value key value) for an associative array."""
    values = [value for _, _, value in found]
    values += [""] * (len(values) % 2)
    for at in range(0, len(values), 2):
        if values[at] == "":
            raise CommandError(f"{name}: a key is not empty")
        rt.vars.set_element(name, values[at], values[at + 1])


def compound(src: Source, node: Assign) -> Callable[[Runtime], str]:
    """name=(..) as an argument of `declare`."""
    entries_of = entries(src, node)
    text = src.text[node.start : node.end]
    name, append = node.name, node.append

    def run(rt: Runtime) -> str:
        word = Compound(text)
        word.name, word.append = name, append
        word.entries = entries_of(rt)
        return word

    return run
