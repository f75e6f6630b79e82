"""Brace expansion: a{b,c}d {1..10..2} {a..e}, of a word's tree before anything else is expanded. Pure.

A word is taken apart into items: the characters { } , . one by one, the text between them, and whatever is quoted
or an expansion as it stands; so no quoting can be mistaken for a brace. What is not a brace expression by bash's
rules ({}, {a}, {a,b without an end) stays text.
"""

from __future__ import annotations

from aish.error import AishError
from aish.lang.name_value import find_tilde
from aish.lang.text import is_name
from aish.lang.tree import Literal, Parameter, Quoted, Tilde, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aish.lang.tree import Node

    Items = list["str | Node"]

MAX_WORDS = 2_000_000
"""A word that gives more is refused: the memory of a machine is no place for {1..1000000000}."""

MAX_BRACES = 1_000
"""Opening braces of one word; more are no program."""

_DIGITS = 1_000
"""Of a number, zeros at its beginning included."""
_STRUCTURE = "{},."
_NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"


class BraceError(AishError):
    """The word would give too many words. The caller knows the place."""


def has_braces(word: Word) -> bool:
    """Whether `expand` has anything to do: an unquoted { before an unquoted } with a comma or two dots between."""
    text = ""
    for part in word.parts:
        if type(part) is Literal:
            text += part.text
        elif type(part) is Tilde:
            text += part.user
    opening = text.find("{")
    closing = text.rfind("}")
    return 0 <= opening < closing and ("," in text or ".." in text)


def expand(word: Word) -> Iterator[str | Word]:
    """The words that `word` gives: text where it is plain, or a Word that is still to be expanded. Empty ones are
    left out, as they are everywhere when nothing is quoted. Raises BraceError."""
    items = _items(word)
    if items.count("{") > MAX_BRACES:
        raise BraceError(f"more than {MAX_BRACES} braces in one word")
    if _count(items) > MAX_WORDS:
        raise BraceError(f"more than {MAX_WORDS} words from one word's braces")
    for found in _expand(items):
        if not found:
            continue
        parts: list[Node] = []
        plain = ""
        for item in found:
            if isinstance(item, str):
                if parts and not plain:
                    item = _lengthened(parts, item)
                plain += item
                continue
            if plain:
                parts.append(Literal(word.start, word.end, plain))
                plain = ""
            parts.append(item)
        if not parts and plain[0] != "~" and not any(char in "*?[(" for char in plain):
            yield plain
            continue
        if plain:
            parts.append(Literal(word.start, word.end, plain))
        yield Word(word.start, word.end, find_tilde(parts))


def _lengthened(parts: list[Node], text: str) -> str:
    """{$a,b}1 is $a1 and b1, as in bash, where braces are expanded in the text: what of `text` is left behind a name
    that it makes longer."""
    last = parts[-1]
    if type(last) is not Parameter or last.end - last.start != len(last.name) + 1 or not is_name(last.name):
        return text
    rest = text.lstrip(_NAME)
    if rest != text:
        name = last.name + text[: len(text) - len(rest)]
        parts[-1] = Parameter(last.start, last.start + 1 + len(name), name)
    return rest


def _items(word: Word) -> Items:
    """The word taken apart."""
    items: Items = []
    for part in word.parts:
        if type(part) is Tilde:  # ~{a,b} is ~a ~b
            text = "~" + part.user
        elif type(part) is Literal:
            text = part.text
        else:
            items.append(part)
            continue
        begin = 0
        for i, char in enumerate(text):
            if char in _STRUCTURE:
                if i > begin:
                    items.append(text[begin:i])
                items.append(char)
                begin = i + 1
        if begin < len(text):
            items.append(text[begin:])
    return items


def _count(items: Items) -> int:
    """How many words `_expand` gives."""
    count = 1
    while (found := _first(items)) is not None:
        start, end = found
        inside = items[start + 1 : end]
        if "," in inside:
            count *= sum(map(_count, _split(inside)))
        else:
            series = _series(inside)
            count *= _length(series[0]) if series else 1
        items = items[end + 1 :]
    return count


def _length(numbers: range) -> int:
    """len() refuses what is longer than a C integer."""
    return abs(numbers.stop - numbers.start) // abs(numbers.step) + 1


def _expand(items: Items) -> list[Items]:
    """All that the items give, themselves at least."""
    done: list[Items] = [[]]
    while True:
        found = _first(items)
        if found is None:
            return [before + items for before in done]
        start, end = found
        inside = items[start + 1 : end]
        middle: list[Items]
        if "," in inside:
            middle = [each for piece in _split(inside) for each in _expand(piece)]
        else:
            series = _series(inside)
            middle = [[series[1](each)] for each in series[0]] if series else [items[start : end + 1]]
        head = items[:start]
        done = [before + head + each for before in done for each in middle]
        items = items[end + 1 :]


def _first(items: Items) -> tuple[int, int] | None:
    """Where the first brace expression begins and ends."""
    start = -1
    while True:
        try:
            start = items.index("{", start + 1)
        except ValueError:
            return None
        if start == 0 and items[1:2] == ["}"]:  # the {} of find and xargs
            continue
        end = _closing(items, start + 1)
        if end >= 0:
            return start, end


def _closing(items: Items, at: int) -> int:
    """The } that ends what begins before `at`, with a comma or two dots on the way; -1 where there is none."""
    level = 0
    separated = False
    for i in range(at, len(items)):
        item = items[i]
        if item == "{":
            level += 1
        elif item == "}" and level:
            level -= 1
        elif item == "}" and separated:
            return i
        elif not level and (item == "," or (items[i : i + 2] == [".", "."] and items[i + 2 : i + 3] != ["}"])):
            separated = True
    return -1


def _split(items: Items) -> list[Items]:
    """The pieces between the commas that are in no inner braces."""
    pieces: list[Items] = [[]]
    level = 0
    for item in items:
        if item == "," and not level:
            pieces.append([])
            continue
        level += 1 if item == "{" else -1 if item == "}" and level else 0
        pieces[-1].append(item)
    return pieces


def _series(items: Items) -> tuple[range, Callable[[int], str | Node]] | None:
    """first..last or first..last..step, of numbers or of letters, and how one of them is written; None where it is
    neither."""
    if not all(isinstance(item, str) for item in items):
        return None
    fields = "".join(map(str, items)).split("..")
    if not 2 <= len(fields) <= 3:
        return None
    step = _number(fields[2]) if len(fields) == 3 else 1
    first, last = _number(fields[0]), _number(fields[1])
    if step is None:
        return None
    if first is None and last is None:
        letters = fields[:2]
        if not all(len(text) == 1 and text.isascii() and text.isalpha() for text in letters):
            return None
        return _range(ord(letters[0]), ord(letters[1]), step), _letter
    if first is None or last is None:
        return None
    width = max(map(len, fields[:2])) if any(map(_padded, fields[:2])) else 0
    return _range(first, last, step), lambda number: f"{number:0{width}d}"


def _range(first: int, last: int, step: int) -> range:
    step = abs(step) or 1
    return range(first, last + 1, step) if first <= last else range(first, last - 1, -step)


def _letter(code: int) -> str | Node:
    """What lies between Z and a is no pattern and no quote; of a backslash nothing is left, as in bash."""
    char = chr(code)
    return char if char.isalnum() else Quoted(0, 0, "" if char == "\\" else char)


def _number(text: str) -> int | None:
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isdecimal() and digits.isascii()) or len(digits) > _DIGITS:
        return None
    number = int(text)
    return number if -(1 << 63) <= number < 1 << 63 else None


def _padded(text: str) -> bool:
    digits = text[1:] if text[:1] == "-" else text
    return len(digits) > 1 and digits[0] == "0"
