"""The pieces of an expanded word, of which splitting makes its fields.

A piece is (kind, text). What was quoted is neither split nor a pattern; what stood literally in the script is a
pattern but not split; what an unquoted expansion gave is both. BREAK separates the parameters of "$@"; its text is
what stands there in a pattern, which is one string. So does JOINT those of an unquoted $@ where IFS begins with no
blank: its text is split, and a blank stands there in a pattern.
"""

from __future__ import annotations

from aish.lang.pattern import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    Piece = tuple[int, str]

QUOTED = 0
LITERAL = 1
SPLIT = 2
BREAK = 3
JOINT = 4

DEFAULT_IFS = frozenset(" \t\n")


def pattern_of(pieces: list[Piece]) -> str:
    """The pattern that a word is in `case`, [[ = ]] and ${x#word}."""
    return "".join([escape(text) if kind == QUOTED else " " if kind == JOINT else text for kind, text in pieces])
