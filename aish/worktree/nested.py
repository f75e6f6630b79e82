"""Repositories within a worktree that are none of its own: git asks them as it looks at it, by their configuration.

A submodule lies in the repository that the worktree is of; what else has a .git there was put there by who worked in
it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aish.worktree.git import Git

_LINK = "160000 "
"""What git's index says of a submodule."""
_POINTER_BYTES = 1 << 14


def foreign(git: Git, common: str) -> list[str]:
    """Their paths. `git` is in the worktree, `common` what the working trees of its repository share. Runs nothing in
    them. Raises AishError."""
    linked = [item.partition("\t")[2] for item in git("ls-files", "-z", "--stage").items if item.startswith(_LINK)]
    others = git("ls-files", "-z", "--others", "--exclude-standard").items
    found = [*linked, *(path.rstrip("/") for path in others if path.endswith("/"))]
    return [path for path in found if not _ours(os.path.join(git.folder, path, ".git"), common)]


def _ours(pointer: str, common: str) -> bool:
    """Whether there is none, or it leads to a submodule of the repository."""
    if not os.path.lexists(pointer):
        return True
    try:
        with open(os.open(pointer, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            said = os.fsdecode(file.read(_POINTER_BYTES).removesuffix(b"\n"))
    except OSError:
        return False
    word, _, path = said.partition("gitdir: ")
    there = os.path.realpath(os.path.join(os.path.dirname(pointer), path))
    return not word and there.startswith(os.path.realpath(common) + "/") and "/modules/" in there
