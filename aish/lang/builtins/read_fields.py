"""How `read` makes fields of a line."""

from __future__ import annotations

from aish.lang.pattern import unescape


def split_read(text: str, separators: frozenset[str], blanks: frozenset[str], count: int, *, raw: bool) -> list[str]:
    """The fields that `read` assigns to `count` names; the last takes the rest of the line.

    Unless `raw`, a backslash is no separator, even where IFS has it: the character behind it stands for itself.
    """
    if not raw and "\\" in separators:
        separators -= {"\\"}
    found, pos = _leading(text, separators, blanks, count - 1, raw)
    if pos < len(text):
        found.append(_rest(text[pos:], separators, blanks, raw))
    return found + [""] * (count - len(found))


def split_all(text: str, separators: frozenset[str], blanks: frozenset[str], *, raw: bool) -> list[str]:
    """The fields that `read -a` makes elements of: each separator ends one."""
    if not raw and "\\" in separators:
        separators -= {"\\"}
    return _leading(text, separators, blanks, len(text), raw)[0]


def _leading(
    text: str, separators: frozenset[str], blanks: frozenset[str], most: int, raw: bool
) -> tuple[list[str], int]:
    """The first fields, at most so many, and where the rest begins."""
    found: list[str] = []
    pos, size = 0, len(text)
    while pos < size and text[pos] in blanks:
        pos += 1
    while pos < size and len(found) < most:
        end = _field_end(text, pos, separators, raw)
        found.append(_plain(text[pos:end], raw))
        pos = end
        while pos < size and text[pos] in blanks:
            pos += 1
        if pos < size and text[pos] in separators and text[pos] not in blanks:
            pos += 1
            while pos < size and text[pos] in blanks:
                pos += 1
    return found, pos


def _plain(text: str, raw: bool) -> str:
    return text if raw else unescape(text)


def _field_end(text: str, pos: int, separators: frozenset[str], raw: bool) -> int:
    size = len(text)
    while pos < size and text[pos] not in separators:
        pos += 2 if text[pos] == "\\" and not raw else 1
    return min(pos, size)


def _rest(text: str, separators: frozenset[str], blanks: frozenset[str], raw: bool) -> str:
    """The last name's share: trailing blanks go, and so does a separator that ends the only field."""
    end = _field_end(text, 0, separators, raw)
    tail = end
    while tail < len(text) and text[tail] in blanks:
        tail += 1
    if tail < len(text) and text[tail] in separators and text[tail] not in blanks:
        tail += 1
        while tail < len(text) and text[tail] in blanks:
            tail += 1
    if tail >= len(text):
        return _plain(text[:end], raw)
    keep = len(text)
    while keep and text[keep - 1] in blanks:  # behind a backslash, too, as in bash: of several fields
        keep -= 1 if raw or not _escaped(text, keep - 1) else 2
    return _plain(text[:keep], raw)


def _escaped(text: str, pos: int) -> bool:
    """Whether an odd number of backslashes stands before `pos`."""
    count = 0
    while pos > 0 and text[pos - 1] == "\\":
        count += 1
        pos -= 1
    return count % 2 == 1
