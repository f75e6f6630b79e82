"""Shell patterns as text: quoting in them, and the dialect that says what they mean. (Matching: matching.py.)

A pattern is text in which a backslash takes the next character's meaning away; expansions put one before every
quoted character that could have a meaning.

What a pattern means depends on options and on the locale: `dialect` says it for the whole process (a process has one
locale, too), and a Pattern that was compiled under another dialect compiles itself anew when it is next used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.matching import Pattern

EXTENDED = 1
FOLDED = 2
BYTES = 4

_SPECIAL = frozenset("\\*?[]!^-:.=()|+@")
_MAGIC = frozenset("*?[")
_GROUPS = frozenset("?*+@!")
_CACHE_SIZE = 2000

dialect = 0
"""Flags: EXTENDED (extglob), FOLDED (nocasematch), BYTES (a locale without multibyte characters)."""


def speak(flags: int) -> None:
    """Set the dialect."""
    global dialect  # noqa: PLW0603 -- one for the process: see above
    dialect = flags


_cache: dict[str, Pattern] = {}
_extended: dict[str, Pattern] = {}


def compiled(pattern: str, extra: int = 0) -> Pattern:
    """The Pattern for `pattern`, from a cache. `extra` is 0, or EXTENDED for [[ == ]]."""
    cache = _extended if extra else _cache
    found = cache.get(pattern)
    if found is None:
        from aish.lang.matching import Pattern

        if len(cache) >= _CACHE_SIZE:
            cache.clear()
        found = cache[pattern] = Pattern(pattern, extra)
    elif found.flags != dialect | extra:
        found.renew()
    return found


def escape(text: str) -> str:
    """A pattern that matches `text` and nothing else."""
    if _SPECIAL.isdisjoint(text):
        return text
    return "".join(["\\" + char if char in _SPECIAL else char for char in text])


def unescape(pattern: str) -> str:
    """The text that a pattern without magic stands for."""
    if "\\" not in pattern:
        return pattern
    found: list[str] = []
    chars = iter(pattern)
    for char in chars:
        found.append(next(chars, "\\") if char == "\\" else char)
    return "".join(found)


def is_magic(pattern: str, extended: bool = False) -> bool:
    """Whether an unescaped * or ? is in `pattern`, or a [ with a ] behind it; `extended`: or @( +( !( ."""
    if _MAGIC.isdisjoint(pattern) and not (extended and "(" in pattern):
        return False
    pos, size = 0, len(pattern)
    while pos < size:
        char = pattern[pos]
        if char in _MAGIC and (char != "[" or "]" in pattern[pos + 1 :]):
            return True
        if extended and char in _GROUPS and pattern[pos + 1 : pos + 2] == "(":
            return True
        pos += 2 if char == "\\" else 1
    return False
