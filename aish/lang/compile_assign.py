"""Assignments to closures: name=value, name+=value. Those of arrays are in compile_array."""

from __future__ import annotations

from aish.lang import compile_word
from aish.lang.control import CommandError
from aish.lang.source import Site
from aish.lang.tree import ArrayLiteral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.compile_word import Text
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Assign

    Store = Callable[[Runtime], str]
    """Does the assignment, and gives it as `set -x` shows it. Raises ExpansionError."""


class Assignment:
    """One compiled assignment. `text` is the value of a plain name=value, else None: then `store` alone does it.

    `before` gives the value that it has before a command, where only strings can stand; None where it has none.
    """

    __slots__ = ("before", "name", "store", "text")

    def __init__(self, name: str, text: Text | None, store: Store, before: Callable[[Runtime], str | None]) -> None:
        self.name = name
        self.text = text
        self.store = store
        self.before = before


def compile_assign(src: Source, node: Assign) -> Assignment:
    """The closure for any assignment."""
    name, site = node.name, Site(src, node.start, node.end)
    if is_compound(node) and node.index is not None:
        return Assignment(name, None, _refused(Site(src, node.value.start, node.end)), lambda rt: None)
    if is_compound(node):
        from aish.lang.compile_array import whole

        literal = node.value
        return Assignment(name, None, whole(src, node), lambda rt: src.text[literal.start : literal.end])
    value = compile_word.as_text(compile_word.text(src, node.value))
    if node.index is not None:
        from aish.lang.compile_array import element

        return Assignment(name, None, element(src, node, value), lambda rt: _no_element(rt, name))
    if node.append:
        return Assignment(name, None, _appended(src, node, value), lambda rt: (rt.vars.get(name) or "") + value(rt))

    def store(rt: Runtime) -> str:
        text = value(rt)
        rt.assign(name, text, site)
        return shown(name, text) if rt.xtrace else ""

    return Assignment(name, value, store, value)


def _no_element(rt: Runtime, name: str) -> None:
    rt.complain(f"{name}: an element of an array cannot be handed to a command", hint="assign it before, with a ;")


def _refused(site: Site) -> Store:
    """name[subscript]=(..): the list is what is wrong."""

    def store(rt: Runtime) -> str:
        error = CommandError("an element cannot be a list", hint="name=(elements)")
        raise rt.error_at(error, site)

    return store


def is_compound(node: Assign) -> bool:
    """Whether the value is (..)."""
    return bool(node.value.parts) and isinstance(node.value.parts[0], ArrayLiteral)


def shown(target: str, value: str) -> str:
    """As `set -x` shows it."""
    from aish.lang.trace import shown_assignment

    return shown_assignment(target, value)


def _appended(src: Source, node: Assign, value: Text) -> Store:
    name, site = node.name, Site(src, node.start, node.end)

    def store(rt: Runtime) -> str:
        text = value(rt)
        if name not in rt.vars.guarded:
            values = rt.values
            values[name] = values.get(name, "") + text
        else:
            try:
                rt.vars.append(name, text)
            except CommandError as error:
                raise rt.error_at(error, site) from None
        return shown(name + "+", text) if rt.xtrace else ""

    return store
