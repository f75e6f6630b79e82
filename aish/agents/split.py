"""Cut a text into parts that each fit a number of tokens. Nothing is lost, nothing twice: joined, they are the text.

Cuts are looked for at the end of a paragraph, then of a line, a sentence, a word; only a word that fits nowhere is
cut between two characters. How many tokens a part has is asked from `count`, which knows the model.
"""

from __future__ import annotations

from aish.errors import LimitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    Count = Callable[[str], int]

# In each tier the cut goes after the mark. CJK full stops have no space after them.
TIERS: Final = (("\n\n",), ("\n",), (". ", "! ", "? ", "。", "！", "？"), (" ", "\t"))  # noqa: RUF001
# A cut this far back leaves the part at half its room: better a worse boundary than a part that small.
LEAST_SHARE: Final = 0.5
FILL: Final = 0.95  # of its room, that a part is meant to take: the count of a cut text is not quite additive
CHARS_PER_TOKEN_MAX: Final = 16  # only white space has more; what is sent to be counted stays bounded
_JOINER: Final = "\u200d"


def split(text: str, room_tokens: int, count: Count, total_tokens: int) -> list[str]:
    """Parts of `text` in order, each of at most `room_tokens` by `count`, of about equal length.

    `total_tokens` is about what the whole text has. `count` is called a few times per part, never on more than
    `CHARS_PER_TOKEN_MAX` characters per token of room. Raises LimitError when a single character does not fit.
    """
    parts: list[str] = []
    at, density = 0, total_tokens / max(1, len(text))
    while at < len(text):
        left = len(text) - at
        shares = max(1, -int(-left * density // (room_tokens * FILL)))
        guess_chars = min(-(-left // shares), CHARS_PER_TOKEN_MAX * room_tokens)
        part, tokens = _largest(text, at, guess_chars, room_tokens, count)
        parts.append(part)
        at += len(part)
        density = tokens / len(part)  # dense text (code, other scripts) has shorter parts, loose text longer
    return parts


def _largest(text: str, at: int, guess_chars: int, room_tokens: int, count: Count) -> tuple[str, int]:
    """The part that begins at `at`: `guess_chars` long, or less until it fits, and its tokens."""
    length = guess_chars
    while True:
        part = text[at : at + boundary(text[at : at + length], at + length >= len(text))]
        tokens = count(part)
        if tokens <= room_tokens:
            return part, tokens
        if len(part) == 1:
            raise LimitError(
                f"one character needs {tokens} tokens, there is room for {room_tokens}",
                hint="use a model with a longer context",
            )
        length = max(1, min(len(part) - 1, len(part) * room_tokens * 9 // (10 * tokens)))


def boundary(window: str, last: bool = False) -> int:
    """How many characters of `window` to take so that the cut is at the best boundary; all if it is the last."""
    if last or len(window) < 2:
        return len(window)
    least = int(len(window) * LEAST_SHARE)
    for marks in TIERS:
        best = max(_after(window, mark, least) for mark in marks)
        if best > 0:
            return best
    return _before_joined(window)


def _after(window: str, mark: str, least: int) -> int:
    found = window.rfind(mark, least)
    return found + len(mark) if found >= 0 else 0


def _before_joined(window: str) -> int:
    """The last place in `window` that tears no character from its marks (accents, emoji sequences)."""
    for at in range(len(window) - 1, max(0, len(window) - 17), -1):
        if not _joined(window[at]) and window[at - 1] != _JOINER:
            return at
    return len(window)  # endless marks: they belong to nothing that could be torn


def _joined(character: str) -> bool:
    code = ord(character)
    combining = 0x300 <= code <= 0x36F or 0x1AB0 <= code <= 0x1AFF or 0x20D0 <= code <= 0x20FF
    return combining or code in (ord(_JOINER), 0xFE0F) or 0x1F3FB <= code <= 0x1F3FF
