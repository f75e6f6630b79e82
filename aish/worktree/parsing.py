"""What git prints for programs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATH_AT = {"1": 8, "2": 9, "u": 10, "?": 1}
"""How many words stand before the path of an entry, by its first."""


class Status(NamedTuple):
    """Paths: with changes, of which some in conflict; that git does not know."""

    changed: list[str]
    conflicts: list[str]
    untracked: list[str]

    @property
    def dirty(self) -> list[str]:
        return [*self.changed, *self.untracked]


def status(items: Sequence[str]) -> Status:
    """Of `git status --porcelain=v2 -z`."""
    found = Status([], [], [])
    at = 0
    while at < len(items):
        kind = items[at][:1]
        words = items[at].split(" ", _PATH_AT.get(kind, 0))
        at += 1
        if kind == "?":
            found.untracked.append(words[-1])
        elif kind in ("1", "2", "u"):
            found.changed.append(words[-1])
            if kind == "u":
                found.conflicts.append(words[-1])
            if kind == "2":  # a rename: where it was follows
                found.changed.append(items[at])
                at += 1
    return found


class Change(NamedTuple):
    """Of one path between two commits: git's letter (A, M, D, T) and the two blobs; None: it is not there."""

    letter: str
    path: str
    old: str | None
    new: str | None
    old_mode: str
    new_mode: str


def changes(items: Sequence[str]) -> list[Change]:
    """Of `git diff-tree -r -z --no-renames OLD NEW`."""
    found = []
    for head, path in zip(items[::2], items[1::2], strict=True):
        old_mode, new_mode, old, new, letter = head.removeprefix(":").split(" ")
        ids = [None if not blob.strip("0") else blob for blob in (old, new)]
        found.append(Change(letter[0], path, ids[0], ids[1], old_mode, new_mode))
    return found


def listed(paths: Sequence[str], most: int = 8) -> str:
    """For a message."""
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(paths[:most]) + more


def counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
