"""The words of a page in HTML, however broken that is: in one pass, since a page can be made so that parsers of the
standard library take hours. Pure."""

from __future__ import annotations

import html
from typing import Final

_SILENT: Final = ("script", "style", "noscript", "svg", "template")
_LINES: Final = frozenset(("p", "br", "div", "li", "tr", "h1", "h2", "h3", "h4", "pre", "section", "/p", "/title"))


def words_of(page: str) -> str:
    """What a person would read of it."""
    pieces: list[str] = []
    low, at = page.lower(), 0
    while (start := page.find("<", at)) >= 0:
        pieces.append(page[at:start])
        name = _name(low, start + 1)
        end = "-->" if name.startswith("!--") else f"</{name}" if name in _SILENT else ">"
        close = low.find(end, start + 1)
        if close < 0:
            at = len(page)
            break
        if name in _LINES:
            pieces.append("\n")
        # Behind the text of a script comes its own end, which is a tag like any other.
        at = close if name in _SILENT else close + len(end)
    pieces.append(page[at:])
    lines = (" ".join(html.unescape(line).split()) for line in "".join(pieces).splitlines())
    return "\n".join(line for line in lines if line)


def _name(low: str, at: int) -> str:
    """Of the tag whose words begin there."""
    end = at
    while end < len(low) and end - at < 12 and (low[end].isalnum() or low[end] in "/!-"):
        end += 1
    return low[at:end]
