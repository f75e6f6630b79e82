"""How worktrees are called. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aish.model.name import RESERVED, is_id

if TYPE_CHECKING:
    from collections.abc import Iterator

LABEL: Final = "worktree"
"""What a process has that runs in one: its name. Before it is made: its name as wanted, or nothing."""
PLACE: Final = ".aish/worktrees"
"""In the main working tree of a repository."""
BRANCHES: Final = "aish/"
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._+-]+|\.{2,}")
_CHARS_MOST: Final = 100
_NUMBERS: Final = 10_000


def plain(name: str) -> str:
    """A name of a process as it can stand in a path and a branch (git-check-ref-format(1))."""
    text = _UNFIT.sub("-", name)[:_CHARS_MOST].strip("._+-") or "agent"
    if text.endswith(".lock"):
        text = text[: -len(".lock")] + "-lock"
    return text + "-1" if text in RESERVED or is_id(text) else text


def candidates(name: str) -> Iterator[str]:
    """The name itself, then with numbers."""
    yield name
    for number in range(2, _NUMBERS):
        yield f"{name}-{number}"


def branch(name: str) -> str:
    return BRANCHES + name
