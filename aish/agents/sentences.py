"""An answer in whole sentences, each of them once: what `whole_sentences` makes of a small model's words. Pure.

A small model does not know when it is done: it is cut off by `max_output_tokens` in mid-sentence, or says the same
again in other words until it is. Sentences are passed on one by one; half of one, and one that only repeats what was
shown before, are not.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    Trigram = tuple[str, str, str]

_ENDS: Final = tuple(".!?…。！？")  # noqa: RUF001
_CLOSERS: Final = "\"'”’)]»*_`"  # noqa: RUF001
_PAUSES: Final = " \n\t,;:-–("  # noqa: RUF001
_WORD_MAX: Final = 64  # characters before a space that tell whether a sentence ends there
REPEATED_SHARE: Final = 0.5  # of its three-word sequences: with that many seen before, a sentence says nothing new


class Sentences:
    """Feed it the pieces of an answer; it returns what can be shown."""

    __slots__ = ("_held", "_searched", "_seen", "repeated", "shown")

    def __init__(self) -> None:
        self._held = ""
        self._searched = 0  # no sentence ends before this place in what is held
        self._seen: set[Trigram] = set()
        self.shown = False
        self.repeated = 0
        """Sentences that were left out because they repeat what was shown."""

    def feed(self, text: str) -> str:
        """All sentences that are certainly over."""
        self._held += text
        shown = ""
        while (end := _end(self._held, self._searched)) is not None:
            sentence, self._held, self._searched = self._held[:end], self._held[end:], 0
            shown += self._judged(sentence)
        self._searched = max(0, len(self._held) - 1)  # an end needs the character behind it
        return shown

    def end(self, cut: bool) -> str:
        """The rest at the end of the answer. `cut`: the limit ended it, so that the rest may be half a sentence; that
        is shown only if nothing else was, with an ellipsis."""
        rest, self._held = self._held, ""
        whole = rest.rstrip().rstrip(_CLOSERS).endswith(_ENDS)
        if not rest.strip():
            return rest
        if not cut or whole:
            return self._judged(rest)
        return "" if self.shown else rest.rstrip(_PAUSES) + " …"

    def _judged(self, sentence: str) -> str:
        """The sentence, or nothing where it repeats the ones before it."""
        trigrams = _trigrams(sentence)
        if trigrams and len(trigrams & self._seen) > REPEATED_SHARE * len(trigrams):
            self.repeated += 1
            return ""
        self._seen |= trigrams
        self.shown = self.shown or bool(sentence.strip())
        return sentence


def _end(text: str, searched: int) -> int | None:
    """Just behind the white space after the first sentence's end; None where none has certainly ended.

    A line end alone is none: models keep the line ends of the text that they quote. An empty line is one.
    """
    for at in range(max(searched, 1), len(text)):
        if not text[at].isspace():
            if text[at - 1] in "。！？":  # noqa: RUF001  no space follows these
                return at
            continue
        before = text[max(0, at - _WORD_MAX) : at].rstrip(_CLOSERS)
        if (before.endswith(_ENDS) and not _abbreviation(before)) or text[at - 1 : at + 1] == "\n\n":
            return at + 1
    return None


def _abbreviation(before: str) -> bool:
    """`e.g.`, `2.`, `J.`: a full stop that ends no sentence."""
    word = before.split()[-1]
    return word.endswith(".") and (word[:-1].isdecimal() or len(word) == 2 or "." in word[:-1])


def _trigrams(sentence: str) -> set[Trigram]:
    words = "".join(c.lower() if c.isalnum() else " " for c in sentence).split()
    return set(zip(words, words[1:], words[2:], strict=False))
