"""'Did you mean …?': the nearest known word."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word at the least edit distance (transpositions count once), None if none is near enough.

    Near enough: a third of the word's length, at least one edit; a known word that begins with `word` counts too, and
    one that `word` only says more of: upstream_name for upstream.
    """
    best, best_distance = None, max(1, len(word) // 3) + 1
    for candidate in known:
        if len(word) >= 2 and (candidate.startswith(word) or _says_more(word, candidate)):
            distance = 1
        elif abs(len(candidate) - len(word)) >= best_distance:
            continue
        else:
            distance = edit_distance(word, candidate)
        if distance < best_distance:
            best, best_distance = candidate, distance
    return best


def _says_more(word: str, candidate: str) -> bool:
    return len(candidate) >= 3 and word.startswith((candidate + "_", candidate + "-"))


def edit_distance(a: str, b: str) -> int:
    """Optimal string alignment distance: insertions, deletions, substitutions, swaps of neighbours."""
    a, b = a[:64], b[:64]
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, previous, row = row, before, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, previous[j - 2] + 1)
            row.append(cost)
    return row[-1]
