"""Names that match a pattern of text and stars, all of a folder's at once: what most patterns for files are. Pure."""

from __future__ import annotations

_OTHER = frozenset("?[\\(")


def among(pattern: str, names: list[str]) -> list[str] | None:
    """Those of `names` that match, hidden ones only where the pattern begins with a dot; None where the pattern is
    more than text and at most two stars."""
    if not _OTHER.isdisjoint(pattern) or not 1 <= pattern.count("*") <= 2:
        return None
    head, *middle, tail = pattern.split("*")
    names = [name for name in names if (name.startswith(head) if head else name[0] != ".")]
    if tail:
        least = len(head) + len(tail)
        names = [name for name in names if name.endswith(tail) and len(name) >= least]
    if middle and middle[0]:
        text, begin, behind = middle[0], len(head), len(tail)
        names = [name for name in names if name.find(text, begin, len(name) - behind) >= 0]
    return names
