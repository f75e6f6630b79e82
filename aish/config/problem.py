"""What is wrong with the files of a project: all of it, each with its file, line and key. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from aish.errors import SourceError
from aish.model.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aish.config.document import Document
    from aish.config.places import Path

MOST: Final = 100
"""Nobody reads more of them, and a hostile file must not make more."""


class Problems:
    def __init__(self) -> None:
        self.found: list[SourceError] = []
        self.left_out = 0
        self._places: list[tuple[Document, Path]] = []

    def add(self, document: Document, at: Path, message: str, hint: str | None = None) -> None:
        """About the key or item at `at`."""
        if len(self.found) < MOST:
            self._places.append((document, at))
        self.take(SourceError(f"{dotted(at)}: {message}", file=document.shown, line=document.line(at), hint=hint))

    def inside(self, document: Document, at: Path) -> list[Path]:
        """Where the problems are that stand at `at` or below, as paths from there."""
        return [place[len(at) :] for each, place in self._places if each is document and place[: len(at)] == at]

    def unknown(
        self, document: Document, at: Path, known: Iterable[str], elsewhere: Mapping[str, str] = MappingProxyType({})
    ) -> str | None:
        """A key that nobody knows, with the nearest that somebody does: that is returned. `elsewhere`: what keys of
        ours are called in other places, and how here."""
        if len(self.found) >= MOST:  # the nearest word takes its time
            self.left_out += 1
            return None
        known = list(known)
        near = elsewhere.get(str(at[-1])) or nearest(str(at[-1]), known)
        hint = f"did you mean {near}?" if near else "known here: " + ", ".join(known)
        self.add(document, at, "unknown key", hint)
        return near

    def take(self, error: SourceError) -> None:
        if len(self.found) < MOST:
            self.found.append(error)
        else:
            self.left_out += 1

    def in_order(self) -> list[SourceError]:
        """By file and line; the last one says how many were left out."""
        errors = sorted(self.found, key=lambda error: (error.file, error.line or 0))
        if self.left_out and errors:
            errors.append(SourceError(f"and {self.left_out} more problems", file=errors[-1].file))
        return errors


def dotted(at: Path) -> str:
    """A path as TOML writes it: services.api.needs[0], services."my web"."""
    text = ""
    for part in at:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = part.isascii() and part.replace("-", "_").replace("_", "a").isalnum()
            shown = part if bare else '"' + part[:80].replace('"', '\\"') + '"'
            text += f".{shown}" if text else shown
    return text or "the file"
