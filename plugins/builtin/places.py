"""Where tools may read and write. Links are followed first.

Without a sandbox: below the folder of the agent, and what its file names. With one: what that reads and writes.
What is refused is refused of the resolved path. Between this and its use a file may become a link: `files` opens
without following one, and asks the kernel what it has opened.
"""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aish.spi.agent_adapter import Confinement

PATH_CHARS: Final = 4096
_KEPT: Final = frozenset({".git", "git~1", ".aish", "aish~1"})
"""Never written to: what a program runs by itself (hooks, filters), and what says what an agent may do."""


class OutsideError(Exception):
    """A path that is not for this agent; the message is for the model."""


class Places:
    """`roots` are absolute; the first is where relative paths begin."""

    def __init__(self, cwd: str, more: tuple[str, ...] = (), confinement: Confinement | None = None) -> None:
        self.cwd = os.path.realpath(cwd)
        self.roots = (self.cwd, *(os.path.realpath(path) for path in more))
        self._confinement = confinement

    def readable(self, path: str) -> str:
        """The real path. Raises OutsideError."""
        if not path or len(path) > PATH_CHARS or any(unicodedata.category(c) in ("Cc", "Cs") for c in path):
            raise OutsideError("that is no path")
        try:
            real = os.path.realpath(os.path.join(self.cwd, os.path.expanduser(path)))
        except (OSError, ValueError) as error:
            raise OutsideError(f"that is no path: {error}") from error
        if not self.reads(real):
            raise self._outside(path)
        return real

    def writable(self, path: str) -> str:
        """The real path. Raises OutsideError."""
        real = self.readable(path)
        if real in self.roots:
            raise OutsideError(f"{path[:200]} is a folder")
        for part in (*path.split("/"), *self._below(real).split("/")):
            if plain(part) in _KEPT:
                raise OutsideError(f"{path[:200]}: nothing is written below {plain(part)}")
        if not self.writes(real):
            raise self._outside(path)
        return real

    def reads(self, real: str) -> bool:
        return self._within(real) if self._confinement is None else self._confinement.reads(real)

    def writes(self, real: str) -> bool:
        return self._within(real) if self._confinement is None else self._confinement.writes(real)

    def shown(self, real: str) -> str:
        """Relative where it is below the first root."""
        if real == self.cwd:
            return "."
        return os.path.relpath(real, self.cwd) if real.startswith(self.cwd.rstrip("/") + "/") else real

    def _within(self, real: str) -> bool:
        return any(real == root or real.startswith(root.rstrip("/") + "/") for root in self.roots)

    def _outside(self, path: str) -> OutsideError:
        if self._confinement is not None:
            return OutsideError(f"{path[:200]} is outside of the sandbox of this agent")
        return OutsideError(f"{path[:200]} is outside of {self.cwd}: only files below it may be touched")

    def _below(self, real: str) -> str:
        """Without the longest root: that of a worktree may lie below a .git of its own."""
        roots = [root for root in self.roots if real == root or real.startswith(root.rstrip("/") + "/")]
        return real[len(max(roots, key=len)) :] if roots else real


def plain(part: str) -> str:
    """As file systems that fold letters, or leave invisible ones out, would read it."""
    folded = unicodedata.normalize("NFKC", part).casefold()
    visible = "".join(c for c in folded if unicodedata.category(c) not in ("Cf", "Mn"))
    return visible.split(":")[0].rstrip(". ") or part
