"""Variables as the shell reads them back: `declare -p`, `set`, ${x@A}, ${x[@]@K}."""

from __future__ import annotations

from aish.lang.text import is_printable, single_quoted
from aish.lang.transforms import ansi, double_quoted, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.arrays import Array
    from aish.lang.runtime import Runtime

_KEY_NEEDS_QUOTES = frozenset(" \t\n'\"\\|&;()<>!{}*[?]^$`")


def line(rt: Runtime, name: str, word: str = "declare") -> str | None:
    """What `declare -p` writes; None for a name that nobody has declared."""
    variables = rt.vars
    letters = variables.letters(name)
    head = f"{word} {'-' + letters if letters else '--'} {name}"
    reference = variables.references.get(name)
    if reference is not None:
        return f"{head}={double_quoted(reference)}" if reference else head
    array = whole(rt, name)
    if array is not None:
        return head if array.unset else f"{head}={literal(array)}"
    value = variables.get(name)
    if value is not None:
        return f"{head}={double_quoted(value)}"
    names = (variables.declared, variables.attributes, variables.exported, variables.readonly)
    return head if any(name in known for known in names) else None


def whole(rt: Runtime, name: str) -> Array | None:
    """The array `name`; None where it is none."""
    from aish.lang.variables import DYNAMIC_LISTS

    array = rt.vars.arrays.get(name)
    if array is None and name in rt.vars.dynamic and name in DYNAMIC_LISTS:
        return rt.vars.array(name)
    return array


def literal(array: Array) -> str:
    """([0]="a" [1]="b")"""
    if array.associative:
        return "(" + "".join([f"[{_key(key)}]={double_quoted(value)} " for key, value in array.pairs()]) + ")"
    return "(" + " ".join([f"[{key}]={double_quoted(value)}" for key, value in array.pairs()]) + ")"


def _key(key: str) -> str:
    if not is_printable(key):
        return ansi(key)
    begins = key[:1] in ("~", "#") or key == "@" or "=~" in key or ":~" in key
    return double_quoted(key) if begins or not _KEY_NEEDS_QUOTES.isdisjoint(key) else key


def plain(rt: Runtime, name: str) -> str | None:
    """The line of `set`: name=value; None where it has none."""
    array = whole(rt, name)
    if array is not None:
        return None if array.unset else f"{name}={literal(array)}"
    value = rt.vars.get(name)
    return None if value is None or name in rt.vars.references else f"{name}={_value(rt, value)}"


def _value(rt: Runtime, value: str) -> str:
    """In quotes only where it needs them."""
    from aish.lang.trace import quoted_if_needed

    if not value:
        return ""
    if not is_printable(value):
        return single_quoted(value) if rt.posix else ansi(value)
    return quoted_if_needed(value)


def assignment(rt: Runtime, name: str, value: str | None) -> str:
    """${x@A} of one value."""
    letters = rt.vars.letters(name)
    if value is None:
        return f"declare -{letters} {name}" if letters else ""
    return f"declare -{letters} {name}={quoted(value)}" if letters else f"{name}={quoted(value)}"


def elements(rt: Runtime, name: str, op: str) -> list[str]:
    """${x[@]@A} and @a @K @k."""
    array = whole(rt, name)
    letters = rt.vars.letters(name)
    if array is None:
        value = rt.vars.get(name)
        if op == "A":
            text = assignment(rt, name, value)
            return text.split(" ", 2) if text else []
        return [] if value is None else [letters if op == "a" else quoted(value)]
    match op:
        case "a":
            return [letters] * len(array.items) or ([letters] if array.unset else [])
        case "k":
            return [text for pair in array.pairs() for text in pair]
        case "K":
            joined = " ".join([f"{_key(key)} {double_quoted(value)}" for key, value in array.pairs()])
            return [joined + " " * array.associative] if array.items else []
        case _:
            head = ["declare", f"-{letters}"]
            return [*head, name] if array.unset else [*head, f"{name}={literal(array)}"]


def parameters(values: list[str], op: str) -> list[str]:
    """${@@A} and @a @K @k."""
    if op == "a":
        return [""] * len(values)
    shown = [quoted(value) for value in values]
    return ["set", "--", *shown] if op == "A" else shown
