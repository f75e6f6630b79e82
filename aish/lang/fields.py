"""The pieces of an expanded word, of which splitting makes its fields.

A piece is (kind, text). What was quoted is neither split nor a pattern; what stood literally in the script is a
pattern but not split; what an unquoted expansion gave is both. BREAK separates the parameters of "$@"; its text is
what stands there in a pattern, which is one string. So does JOINT those of an unquoted $@ where IFS begins with no
blank: its text is split, and a blank stands there in a pattern. Those parameters themselves, GIVEN, are split, and
no patterns. OPENING, without a text, stands before them where the first begins with a blank.
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
GIVEN = 5
OPENING = 6

DEFAULT_IFS = frozenset(" \t\n")


def as_pattern(pieces: list[Piece]) -> list[tuple[str, bool]]:
    """The texts of a word that is a pattern, and whether each stands for itself."""
    return [(" " if kind == JOINT else text, kind in (QUOTED, GIVEN)) for kind, text in pieces]


def pattern_of(pieces: list[Piece]) -> str:
    """The pattern that a word is in `case`, [[ = ]] and ${x#word}."""
    return "".join([escape(text) if itself else text for text, itself in as_pattern(pieces)])
