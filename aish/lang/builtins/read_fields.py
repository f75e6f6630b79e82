"""How `read` makes fields of a line."""

from __future__ import annotations

from aish.lang.pattern import unescape


def split_read(text: str, separators: frozenset[str], blanks: frozenset[str], count: int) -> list[str]:
    """The fields that `read` assigns to `count` names; the last takes the rest of the line.

    `text` is a pattern in the sense of aish.lang.fields: backslash-escaped characters do not separate.
    """
    found: list[str] = []
    pos, size = 0, len(text)
    while pos < size and text[pos] in blanks:
        pos += 1
    while pos < size and len(found) < count - 1:
        end = _field_end(text, pos, separators)
        found.append(unescape(text[pos:end]))
        pos = end
        while pos < size and text[pos] in blanks:
            pos += 1
        if pos < size and text[pos] in separators and text[pos] not in blanks:
            pos += 1
            while pos < size and text[pos] in blanks:
                pos += 1
    if pos < size:
        found.append(_rest(text[pos:], separators, blanks))
    return found + [""] * (count - len(found))


def _field_end(text: str, pos: int, separators: frozenset[str]) -> int:
    size = len(text)
    while pos < size and text[pos] not in separators:
        pos += 2 if text[pos] == "\\" else 1
    return min(pos, size)


def _rest(text: str, separators: frozenset[str], blanks: frozenset[str]) -> str:
    """The last name's share: trailing blanks go, and so does a separator that ends the only field."""
    end = _field_end(text, 0, separators)
    tail = end
    while tail < len(text) and text[tail] in blanks:
        tail += 1
    if tail < len(text) and text[tail] in separators and text[tail] not in blanks:
        tail += 1
        while tail < len(text) and text[tail] in blanks:
            tail += 1
    if tail >= len(text):
        return unescape(text[:end])
    keep = len(text)
    while keep and text[keep - 1] in blanks and not _escaped(text, keep - 1):
        keep -= 1
    return unescape(text[:keep])


def _escaped(text: str, pos: int) -> bool:
    """Whether an odd number of backslashes stands before `pos`."""
    count = 0
    while pos > 0 and text[pos - 1] == "\\":
        count += 1
        pos -= 1
    return count % 2 == 1
