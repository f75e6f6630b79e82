"""Elements that are named by text at run time: `unset 'a[i]'`, `read 'a[1]'`, `printf -v`, references, ${!x}.

What stands between the brackets is expanded, as in bash, with one exception: a command substitution in it is
refused. The text may be data (`read "$name"`), and data must not run commands.
"""

from __future__ import annotations

from aish.lang import compile_word
from aish.lang.arrays import Indexed, SubscriptError
from aish.lang.control import CommandError
from aish.lang.digits import saturated
from aish.lang.source import ParseError, Source
from aish.lang.text import is_name, quote_end
from aish.lang.tree import CommandSub, Parameter, Word
from aish.lang.variables import MOST_REFERENCES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from aish.lang.arrays import Array
    from aish.lang.compile_word import Text
    from aish.lang.runtime import Runtime
    from aish.lang.tree import Node

    Found = TypeVar("Found")

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789 .,:;/+-%@*")
_CACHE_SIZE = 500
LONGEST = 1 << 16
"""Characters of a subscript."""


def split(text: str) -> tuple[str, str | None] | None:
    """(name, subscript or None) for name and name[subscript]; None for text that is neither."""
    if is_name(text):
        return text, None
    name, bracket, rest = text.partition("[")
    if not bracket or len(rest) < 2 or rest[-1] != "]" or not is_name(name) or len(rest) > LONGEST:
        return None
    return (name, rest[:-1]) if _closes(rest) else None


def _closes(rest: str) -> bool:
    """Whether the bracket before `rest` is closed by its last character, and not sooner."""
    depth, pos = 1, 0
    while pos < len(rest):
        char = rest[pos]
        if char == "\\":
            pos += 1
        elif char in "'\"":
            pos = quote_end(rest, pos)
        elif char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
            if not depth:
                return pos == len(rest) - 1
        pos += 1
    return False


def target(text: str) -> tuple[str, str | None]:
    """The two parts of a variable or an element. Raises CommandError."""
    found = split(text)
    if found is None:
        raise CommandError(f"{text}: not a variable's name")
    return found


# ------------------------------------------------------------------------------------------ references


def resolve(rt: Runtime, name: str) -> tuple[str, str | None]:
    """What a name refers to in the end: (name, subscript). A circle leads back to the name, and is told."""
    references = rt.vars.references
    seen = name
    for _ in range(MOST_REFERENCES + 1):
        reference = references.get(seen)
        if not reference:
            return seen, None
        found = split(reference)
        if found is None:
            return seen, None
        if found[1] is not None:
            return found
        seen = found[0]
        if seen == name:
            break
    rt.complain(f"{name}: refers to itself, in a circle")
    return name, None


def follow(rt: Runtime, name: str) -> tuple[str, str | None]:
    """As `resolve`, where `name` need not be a reference."""
    return resolve(rt, name) if name in rt.vars.references else (name, None)


def fetch_reference(rt: Runtime, name: str) -> str | None:
    """The value of what `name` refers to."""
    final, subscript = resolve(rt, name)
    if subscript is not None:
        return fetch_element(rt, final, subscript)
    if final in rt.vars.references:
        return None if final != name else beyond(rt, name, lambda: rt.vars.get(name))
    return rt.vars.get(final)


def beyond(rt: Runtime, name: str, look: Callable[[], Found | None]) -> Found | None:
    """What `look` sees where the reference `name` means its own name: a local one means the global variable that it
    hides. None in another circle, and where nothing is hidden."""
    if rt.vars.references.get(name) != name:
        return None
    found: list[Found | None] = []

    def act() -> None:
        found.append(None if name in rt.vars.references else look())

    rt.vars.globally(name, act)
    return found[0]


def at_home(rt: Runtime, name: str, act: Callable[[], None]) -> None:
    """Do `act` to the array that `name` is; where it is a local reference to its own name, to the global one."""
    if rt.vars.references.get(name) == name:
        rt.vars.globally(name, act)
    else:
        act()


def store_reference(rt: Runtime, name: str, value: str, *, append: bool = False) -> None:
    """Assign to what `name` refers to; without a target yet, `value` names it."""
    variables = rt.vars
    if not variables.references[name]:
        refer(rt, name, value)
        return
    final, subscript = resolve(rt, name)
    if subscript is not None:
        store(rt, f"{final}[{subscript}]", value, append=append)
    elif final in variables.references:
        if final != name:
            refer(rt, final, value)
        elif variables.references[name] == name:
            variables.globally(name, lambda: _plain_store(rt, name, value, append))
        else:
            raise CommandError(f"{name}: nothing can be assigned to a circle")
    elif append:
        variables.append(final, value)
    else:
        variables.set(final, value)


def _plain_store(rt: Runtime, name: str, value: str, append: bool) -> None:
    if name not in rt.vars.references:
        (rt.vars.append if append else rt.vars.set)(name, value)


def refer(rt: Runtime, name: str, text: str) -> None:
    """Make `name` refer to `text`. Raises CommandError."""
    rt.vars.check(name)
    if text and split(text) is None:
        raise CommandError(f"{text}: not a variable's name that '{name}' could refer to")
    if text == name and rt.vars.function_scope() is None:
        raise CommandError(f"{name}: a reference to itself is not allowed")
    rt.vars.refer(name, text)


# -------------------------------------------------------------------------------------------- elements


def key_of(rt: Runtime, array: Array, subscript: str) -> int | str:
    """The key that a subscript's text stands for. Raises CommandError."""
    if not array.associative:
        return number(rt, subscript)
    return subscript if _PLAIN.issuperset(subscript) else _expanded(rt, subscript)


def number(rt: Runtime, subscript: str) -> int:
    """An indexed array's subscript is arithmetic. Raises CommandError, and ExpansionError where it is none: that ends
    more than the built-in which met it, as in bash."""
    from aish.lang.arithmetic import compiled
    from aish.lang.arithmetic_tokens import ExpressionError, constant

    if subscript in ("@", "*"):
        raise SubscriptError(f"[{subscript}]: bad array subscript")
    try:
        value = constant(subscript)
        if value is None:
            text = subscript if _PLAIN.issuperset(subscript) else _expanded(rt, subscript)
            value = compiled(text)(rt)
    except ExpressionError as error:
        raise rt.subscript_error(subscript, error.message) from None
    return value


_words: dict[str, Text] = {}


def _expanded(rt: Runtime, subscript: str) -> str:
    """The text with its quotes taken away and its parameters expanded."""
    if rt.arithmetic_depth > 50:
        raise SubscriptError("subscripts within each other without end")
    closure = _words.get(subscript)
    if closure is None:
        if len(_words) >= _CACHE_SIZE:
            _words.clear()
        closure = _words[subscript] = _compiled(subscript)
    rt.arithmetic_depth += 1
    try:
        return closure(rt)
    finally:
        rt.arithmetic_depth -= 1


def _compiled(subscript: str) -> Text:
    source = Source("subscript", subscript)
    return compile_word.as_text(compile_word.text(source, Word(0, len(subscript), parts(subscript))))


def parts(subscript: str) -> list[Node]:
    """A subscript that came as text, parsed. Raises SubscriptError where it would run commands."""
    from aish.lang.parser import Parser

    try:
        found = Parser(Source("subscript", subscript)).subscript_parts()
    except ParseError as error:
        raise SubscriptError(f"[{subscript[:40]}]: {error.message}") from None
    if any(map(runs, found)):
        raise SubscriptError(f"[{subscript[:40]}]: a command substitution is not run from here")
    return found


def runs(part: Node) -> bool:
    """Whether expanding a part would run commands."""
    match part:
        case CommandSub():
            return True
        case Parameter():
            words = (part.index, part.argument, part.second)
            return any(map(runs, [inner for word in words if word is not None for inner in word.parts]))
        case _:
            return any(map(runs, getattr(part, "parts", ())))


def fetch(rt: Runtime, text: str) -> str | None:
    """The value of a variable or an element, None where unset. Raises CommandError."""
    name, subscript = target(text)
    if subscript is None:
        return rt.vars.get(name)
    return fetch_element(rt, name, subscript)


def fetch_element(rt: Runtime, name: str, subscript: str) -> str | None:
    """The value of one element; of name[@] and name[*] all of them."""
    array = rt.vars.array(name)
    if array is None:
        return None
    if subscript in ("@", "*"):
        values = array.values()
        return (" " if subscript == "@" else rt.joiner).join(values) if values else None
    return array.get(key_of(rt, array, subscript))


def store(rt: Runtime, text: str, value: str, *, append: bool = False) -> None:
    """Assign to a variable or an element that `text` names. Raises CommandError."""
    name, subscript = target(text)
    if subscript is None:
        (rt.vars.append if append else rt.vars.set)(name, value)
        return
    name, inner = follow(rt, name)
    if inner is not None:
        raise CommandError(f"{name}[{inner}]: an element has no elements")
    if subscript in ("@", "*") and not (name in rt.vars.arrays and rt.vars.arrays[name].associative):
        raise SubscriptError(f"{text}: bad array subscript")
    array = rt.vars.array(name) or Indexed()
    rt.vars.set_element(name, checked_key(array, key_of(rt, array, subscript), text), value, append=append)


def checked_key(array: Array, key: int | str, text: str) -> int | str:
    """`key`, where an element may be made under it. Raises SubscriptError."""
    if key == "":
        raise SubscriptError(f"{text}: bad array subscript", hint="a key is not empty")
    if isinstance(key, str) and not array.associative:
        raise SubscriptError(f"{text}: bad array subscript: [{key}] is all of them")
    if isinstance(key, int) and key < 0:
        place: int = array.place(key)
        return place
    return key


def is_set(rt: Runtime, text: str) -> bool:
    """`test -v`. Raises CommandError for a subscript without a value."""
    found = split(text)
    if found is None:
        if text.isdecimal() and text.isascii():
            return text == "0" or saturated(text) <= len(rt.params)
        return False
    name, subscript = found
    if subscript is None:
        return rt.vars.get(name) is not None
    array = rt.vars.array(name)
    if array is None:
        if subscript not in ("@", "*"):
            key_of(rt, Indexed(), subscript)  # for its effects
        return False
    if subscript in ("@", "*"):
        return bool(array.items) and (not array.associative or subscript in array.items)
    return array.get(key_of(rt, array, subscript)) is not None


def remove(rt: Runtime, name: str, subscript: str) -> None:
    """`unset name[subscript]`. Raises CommandError."""
    name, inner = follow(rt, name)
    rt.vars.check_unset(name)
    array = rt.vars.arrays.get(name)
    if inner is not None:
        return
    if array is None and name in rt.vars.dynamic:
        array = rt.vars.array(name)
    if array is None:
        if not rt.vars.knows(name):
            return
        if subscript in ("@", "*") or number(rt, subscript) == 0:
            rt.vars.unset_scoped(name)
            return
        raise CommandError(f"{name}: not an array")
    if subscript in ("@", "*") and not array.associative:
        array.clear()
        return
    array.remove(key_of(rt, array, subscript))
