"""Text that others chose, made fit for a cell grid: harmless characters, widths in columns.

Names, arguments and messages come from whoever started a process. No control, direction or invisible character of
theirs reaches the terminal: each is shown as an escape.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from wcwidth import wcwidth

from aish.report import clean as escaped

MAX_MARKS: Final = 2
"""Combining marks kept on one character: towers of them reach into the lines above."""


@lru_cache(maxsize=8192)
def clean(text: str) -> str:
    """`text` with everything invisible or steering as escapes, and no more than MAX_MARKS marks on a character."""
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    marks = MAX_MARKS  # a mark at the very start would join whatever is drawn before it
    for char in escaped(text).replace("\t", " "):
        if wcwidth(char) > 0:
            marks = 0
        elif marks >= MAX_MARKS or _selects_variation(char):
            continue  # terminals disagree on the width of what a variation selector makes
        else:
            marks += 1
        kept.append(char)
    return "".join(kept)


def decoded(raw: bytes) -> str:
    """Bytes of the operating system as clean text; what is not UTF-8 becomes escapes."""
    return clean(raw.decode(errors="backslashreplace"))


def to_ascii(text: str) -> str:
    """For terminals that show nothing else: '?' for each column of a character that is not ASCII."""
    if text.isascii():
        return text
    return "".join(char if char.isascii() else "?" * max(wcwidth(char), 0) for char in text)


def columns(text: str) -> int:
    """Width of clean text."""
    return len(text) if text.isascii() else _columns(text)


@lru_cache(maxsize=8192)
def _columns(text: str) -> int:
    return sum([max(wcwidth(char), 0) for char in text])


@lru_cache(maxsize=8192)
def clip(text: str, width: int, more: str = "…") -> str:
    """Clean text cut to `width` columns, the last of them `more` where something was cut."""
    if width <= 0:
        return ""
    if len(text) <= width and columns(text) <= width:
        return text
    room = width - 1
    if text.isascii():
        return text[:room] + more
    kept, used = [], 0
    for char in text:
        wide = max(wcwidth(char), 0)
        if used + wide > room:
            break
        kept.append(char)
        used += wide
    return "".join(kept) + more


def left(text: str, width: int) -> str:
    """Clipped, and filled with blanks on the right to exactly `width` columns."""
    text = clip(text, width)
    return text + " " * (width - columns(text))


def right(text: str, width: int) -> str:
    text = clip(text, width)
    return " " * (width - columns(text)) + text


@lru_cache(maxsize=8192)
def clusters(text: str) -> tuple[tuple[str, int], ...]:
    """Clean text as (character with its marks, columns 1 or 2)."""
    made: list[tuple[str, int]] = []
    for char in text:
        wide = wcwidth(char)
        if wide > 0:
            made.append((char, wide))
        elif made:
            made[-1] = (made[-1][0] + char, made[-1][1])
    return tuple(made)


def _selects_variation(char: str) -> bool:
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
