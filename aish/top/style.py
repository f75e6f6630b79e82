"""Styles of text in a frame, and how they look: SGR sequences for terminals, colours for pictures."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

COLOURS: Final = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white", "grey")
"""The terminal's own palette, so that a person's theme holds; grey is its bright black."""

_SGR: Final = {name: str(30 + n) for n, name in enumerate(COLOURS[:8])} | {"grey": "90"}
_SGR_BACK: Final = {name: str(40 + n) for n, name in enumerate(COLOURS[:8])} | {"grey": "100"}


class Style(NamedTuple):
    """`fore` and `back` are names of COLOURS, '' is the terminal's own."""

    fore: str = ""
    back: str = ""
    bold: bool = False
    dim: bool = False
    reverse: bool = False


PLAIN: Final = Style()
TITLE: Final = Style(bold=True)
FAINT: Final = Style(dim=True)
HEAD: Final = Style(reverse=True)
CHOSEN: Final = Style(reverse=True, bold=True)
GOOD: Final = Style(fore="green")
WARN: Final = Style(fore="yellow")
BAD: Final = Style(fore="red", bold=True)
NOTE: Final = Style(fore="cyan")
STRANGER: Final = Style(fore="grey")
PROMISED: Final = Style(fore="grey", dim=True)
OWNERS: Final = tuple(Style(fore=name) for name in ("cyan", "magenta", "yellow", "green", "blue", "red"))


class Span(NamedTuple):
    """Text in one style: no control characters, see aish.top.text.clean."""

    text: str
    style: Style = PLAIN


Line = tuple[Span, ...]


@lru_cache(maxsize=256)
def sgr(style: Style, colour: bool) -> str:
    """The escape sequence that switches to `style` from whatever was before."""
    codes = ["0"]
    if style.bold:
        codes.append("1")
    if style.dim:
        codes.append("2")
    if style.reverse:
        codes.append("7")
    if colour and style.fore:
        codes.append(_SGR[style.fore])
    if colour and style.back:
        codes.append(_SGR_BACK[style.back])
    return "\x1b[" + ";".join(codes) + "m"
