"""Words of the form name=value, and the tildes that count in a value."""

from __future__ import annotations

from aish.lang.text import is_name
from aish.lang.tree import Assign, Literal, Parameter, Target, Tilde, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.tree import Node

_BLANKS = frozenset(" \t\n")


def find_tilde(parts: list[Node]) -> list[Node]:
    """`parts` with a leading ~ or ~user cut off as a Tilde. A quoted character in the prefix forbids it."""
    first = parts[0] if parts else None
    if type(first) is not Literal or first.text[:1] != "~":
        return parts
    text = first.text
    end = min((i for i in (text.find(stop) for stop in "/:") if i >= 0), default=-1)
    if end < 0:
        if len(parts) > 1:
            return parts
        end = len(text)
    if not _BLANKS.isdisjoint(text[:end]):  # in ${x-~ y}: nobody's name
        return parts
    tilde = Tilde(first.start, first.start + end, text[1:end])
    rest: list[Node] = [Literal(tilde.end, first.end, text[end:])] if end < len(text) else []
    return [tilde, *rest, *parts[1:]]


def split_assignment(word: Word, *, deep: bool = False) -> Assign | None:
    """The assignment that a word of the form name=value, name+=value or name[subscript]=value is, else None.

    In the value a tilde counts at the beginning and after each unquoted colon; with `deep` also in ${x-..}.
    """
    first = word.parts[0] if word.parts else None
    if type(first) is Target:
        value = Word(first.end, word.end, _value_tildes(word.parts[1:], deep))
        return Assign(word.start, word.end, first.name, value, first.append, first.index)
    if type(first) is not Literal:
        return None
    equals = first.text.find("=")
    if equals < 1:
        return None
    append = first.text[equals - 1] == "+"
    name = first.text[: equals - append]
    if not is_name(name):
        return None
    begin = first.start + equals + 1
    parts: list[Node] = []
    if equals + 1 < len(first.text):
        parts.append(Literal(begin, first.end, first.text[equals + 1 :]))
    parts.extend(word.parts[1:])
    return Assign(word.start, word.end, name, Word(begin, word.end, _value_tildes(parts, deep)), append)


def argument_tildes(word: Word, *, bash: bool = True) -> Word:
    """A word of the form name=value that is no assignment, with the tildes in the value found: those of `bash`, which
    posix mode leaves alone."""
    first = word.parts[0] if word.parts else None
    if type(first) is not Literal or "=" not in first.text:
        return word
    found = split_assignment(word)
    if found is None:
        return word
    tildes = [part for part in found.value.parts if type(part) is Tilde]
    if not tildes:
        return word
    for part in tildes:
        part.bash = bash
    begin = found.value.start
    head = Literal(first.start, begin, first.text[: first.text.index("=") + 1])
    return Word(word.start, word.end, [head, *found.value.parts])


def _value_tildes(parts: list[Node], deep: bool) -> list[Node]:
    """Tildes at the beginning of `parts` and after colons in its literals."""
    pieces: list[Node] = []
    for part in parts:
        if type(part) is Literal and ":" in part.text:
            at = part.start
            *ended, last = part.text.split(":")
            for text in ended:
                pieces.append(Literal(at, at + len(text) + 1, text + ":"))
                at += len(text) + 1
            if last:
                pieces.append(Literal(at, part.end, last))
        elif type(part) is Tilde:
            pieces.append(Tilde(part.start, part.end, part.user))  # not as bash has it any more
        else:
            if deep and type(part) is Parameter and part.op in ("-", "+") and part.argument is not None:
                part.argument.parts = _value_tildes(part.argument.parts, deep)
            pieces.append(part)
    done: list[Node] = []
    begins = True
    for i, part in enumerate(pieces):
        pair = pieces[i : i + 2]
        found = find_tilde(pair) if begins else pair
        done.extend(found[: len(found) - len(pair) + 1])
        begins = type(part) is Literal and part.text.endswith(":")
    return done
