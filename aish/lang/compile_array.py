"""Assignments to arrays, to closures: name[subscript]=value, name=(elements)."""

from __future__ import annotations

from aish.lang import compile_subscript, compile_word, subscripts
from aish.lang.arrays import Associative, Indexed, SubscriptError
from aish.lang.assignments import DECLARING
from aish.lang.brace_expansion import has_braces
from aish.lang.compile_assign import shown
from aish.lang.control import CommandError, told
from aish.lang.source import ExpansionError, Site
from aish.lang.tree import ArrayLiteral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from aish.lang.arithmetic_tokens import Key
    from aish.lang.arrays import Array
    from aish.lang.compile_assign import Store
    from aish.lang.compile_word import Fields, Text
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.tree import ArrayElement, Assign, Word

    Entry = tuple[Key | None, bool, str]
    """(subscript or None, appends, value)"""
    Step = Callable[[Runtime, list[Entry]], None]
    Expand = Callable[[Runtime, bool], list[Entry]]
    """Gives the elements that are assigned, here to an associative array or to an indexed one."""


class Compound(str):
    """A word name=(..) among the arguments of `declare` and its kin: its text, with what is assigned. That is
    expanded when its turn comes, since an argument before it may assign what it uses."""

    __slots__ = ("_found", "append", "expand", "name")

    name: str
    append: bool
    expand: Expand
    _found: list[Entry] | None

    def __new__(cls, text: str, name: str, append: bool, expand: Expand) -> Self:
        word = super().__new__(cls, text)
        word.name, word.append, word.expand, word._found = name, append, expand, None
        return word

    def entries(self, rt: Runtime, associative: bool) -> list[Entry]:
        """The elements, expanded once."""
        if self._found is None:
            self._found = self.expand(rt, associative)
        return self._found


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
                if variables.references.get(real) == "":
                    raise CommandError(f"{target}: '{real}' refers to nothing", hint="declare -n REFERENCE=NAME")
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
        try:
            real = _plain_target(rt, name) if name in rt.vars.references else name
            found = entries_of(rt, is_associative(rt, real))
            subscripts.at_home(rt, real, lambda: fill(rt, real, found, append))
        except CommandError as error:
            raise rt.error_at(error, site) from None
        if not rt.xtrace:
            return ""
        from aish.lang.reprint import assignment

        return assignment(src, node)

    return store


def is_associative(rt: Runtime, name: str) -> bool:
    """Whether there is an associative array of this name."""
    array = rt.vars.arrays.get(name)
    return array is not None and array.associative


def entries(src: Source, node: Assign) -> Expand:
    """The closure that expands what stands between the parentheses, before anything is assigned.

    Keys and values of an associative array that stand without brackets are each one word, as in bash, like the values
    behind [key]=; and where the first one does, brackets of the others are a part of theirs.
    """
    literal = node.value.parts[0]
    assert isinstance(literal, ArrayLiteral)
    items = literal.items
    if items and items[0].index is not None:
        return _listed(src, items)
    pairs = [compile_word.as_text(compile_word.text(src, _as_word(item))) for item in items]
    if all(item.index is None for item in items):
        fields = compile_word.argument_list([compile_word.fields(src, item.value) for item in items])
        listed: Expand = lambda rt, associative: [(None, False, value) for value in fields(rt)]  # noqa: E731
    else:
        listed = _listed(src, items)

    def run(rt: Runtime, associative: bool) -> list[Entry]:
        return [(None, False, text(rt)) for text in pairs] if associative else listed(rt, associative)

    return run


def _as_word(item: ArrayElement) -> Word:
    """An element, with the brackets in front of its value: these are nothing but a part of a word in some places."""
    if item.index is None:
        return item.value
    from aish.lang.tree import Literal, Tilde, Word

    opening = Literal(item.start, item.index.start, "[")
    closing = Literal(item.index.end, item.value.start, "]+=" if item.append else "]=")
    value = [
        Literal(part.start, part.end, f"~{part.user}") if isinstance(part, Tilde) else part
        for part in item.value.parts
    ]
    return Word(item.start, item.end, [opening, *item.index.parts, closing, *value])


def _listed(src: Source, items: list[ArrayElement]) -> Expand:
    """Elements with a subscript, and others between them perhaps.

    Where some [key]= holds braces, or is followed by them, in bash the words that these give are all values of an
    indexed array, and the brackets in front of each of them are a part of it, expanded as the rest is."""
    steps = [_entry(src, item) for item in items]
    words = steps
    if any(map(_is_braced, items)):
        words = [
            _entry(src, _without_index(item)) if _is_braced(item) else step
            for item, step in zip(items, steps, strict=True)
        ]

    def run(rt: Runtime, associative: bool) -> list[Entry]:
        found: list[Entry] = []
        for step in steps if associative or not rt.braceexpand else words:
            step(rt, found)
        return found

    return run


def _is_braced(item: ArrayElement) -> bool:
    return item.index is not None and (has_braces(item.value) or has_braces(item.index))


def _without_index(item: ArrayElement) -> ArrayElement:
    from aish.lang.tree import ArrayElement

    return ArrayElement(item.start, item.end, _as_word(item), False, None)


def _entry(src: Source, item: ArrayElement) -> Step:
    if item.index is None:
        fields: Fields = compile_word.argument_list([compile_word.fields(src, item.value)])
        return lambda rt, found: found.extend([(None, False, value) for value in fields(rt)])
    index = compile_word.text(src, item.index)
    text = compile_word.as_text(compile_word.text(src, item.value))
    append = item.append
    if isinstance(index, str):
        key_of = _no_key(index) if index in _NO_KEYS else compile_subscript.key(src, item.index)
        return lambda rt, found: found.append((key_of, append, text(rt)))
    written = src.text[item.index.start : item.index.end]

    def step(rt: Runtime, found: list[Entry]) -> None:
        subscript = index(rt)  # once, and before the value
        key = (
            _no_key(subscript) if subscript in _NO_KEYS else compile_subscript.computed(lambda rt: subscript, written)
        )
        found.append((key, append, text(rt)))

    return step


_NO_KEYS = ("", "@", "*")


def _no_key(subscript: str) -> Key:
    """Of []=value, which is arithmetic nowhere: in a list, bash takes that for 0 in no array. And of [@]=value."""
    return lambda rt, array: subscript


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
        _fill_pairs(rt, name, array, found)
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
            key = _possible(rt, name, array, key_of(rt, array))
            if key is None:
                continue
            at = key
        elif array.associative:
            rt.complain(f"{name}: {value}: an element of an associative array needs a subscript")
            continue
        else:
            at = at + 1 if isinstance(at, int) and at >= 0 else array.next()
        rt.vars.set_element(name, at, value, append=append)


def _fill_pairs(rt: Runtime, name: str, array: Array, found: list[Entry]) -> None:
    """name=(key value key value) for an associative array."""
    values = [value for _, _, value in found]
    values += [""] * (len(values) % 2)
    for at in range(0, len(values), 2):
        key = _possible(rt, name, array, values[at])
        if key is not None:
            rt.vars.set_element(name, key, values[at + 1])


def _possible(rt: Runtime, name: str, array: Array, key: int | str) -> int | str | None:
    """The key, where an element may be made under it. Else it is told and left out, as in bash: the list is assigned
    all the same."""
    try:
        return subscripts.checked_key(array, key, name)
    except SubscriptError as error:
        rt.complain(f"{name}: {error.message.removeprefix(f'{name}: ')}", hint=error.hint)
        return None


def _failed(rt: Runtime, associative: bool) -> list[Entry]:
    """Of a list that could not be assigned in its turn: that was told then, and is the built-in's failure."""
    raise told(1)


def _refused(rt: Runtime, associative: bool) -> list[Entry]:
    raise CommandError("an element cannot be a list", hint="name=(elements)")


def compound(src: Source, node: Assign) -> Callable[[Runtime], str]:
    """name=(..) as an argument of `declare`."""
    expand = entries(src, node) if node.index is None else _refused
    text = src.text[node.start : node.end]
    name, append = node.name, node.append

    return lambda rt: Compound(text, name, append, expand)


_LOCAL = frozenset(["declare", "local", "typeset"])
_IN_FRONT = frozenset("Iilnuc")
"""Options that matter while a list is assigned in its turn, in front of all operands; others the built-in heeds at
the end. In bash -a, -A and -g do so in any place."""


def in_turn(src: Source, node: Assign, before: list[str], alone: bool) -> Callable[[Runtime], str]:
    """The same, `before` being the words in front of it. As in bash, the list is assigned while the arguments are
    being expanded, so that those behind it see it; name=value is assigned only then. That makes a difference where it
    is not `alone`, where a function of that name gets the words, and where `local` then finds no function.
    What is wrong with the words is left to the built-in, which says it once. A list that cannot be assigned is the
    built-in's failure where it makes local variables, and ends the command elsewhere."""
    make = compound(src, node)
    head = [before[0], *_options(before[1:])]
    refers = any(word[0] == "-" and "n" in word for word in head[1:])

    def run(rt: Runtime) -> str:
        word = make(rt)
        assert isinstance(word, Compound)
        if head[0] not in DECLARING or refers:
            return word
        in_function = rt.vars.function_scope() is not None
        by = "declare" if head[0] == "local" and not in_function else head[0]
        if alone and by == head[0] and by not in rt.functions:
            return word
        from aish.lang import builtins, trace
        from aish.lang.invocation import run_builtin

        if rt.xtrace:
            trace.show_list(rt, word, head)
        builtin = builtins.find(by)
        assert builtin is not None
        if run_builtin(rt, builtin, [by, *head[1:], word]):
            if by in _LOCAL and in_function and not any("g" in one for one in head[1:]):
                return Compound(word, word.name, word.append, _failed)
            error = ExpansionError("", src, node.start, node.end)
            error.told = True
            raise error
        return word.name

    return run


def _options(words: list[str]) -> list[str]:
    found: list[str] = []
    leads = True
    for word in words:
        leads = leads and word[:1] in ("-", "+")
        letters = [letter for letter in word[1:] if letter in "aAg" or (leads and letter in _IN_FRONT)]
        if letters and word[0] in "-+":
            found.append(word[0] + "".join(letters))
    return found
