"""From a command and an item to what is run for it. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MARK: Final = "{}"
"""In a word of the command: the item itself."""


@dataclass(frozen=True, slots=True)
class Run:
    """The words to run; `stdin` is the path of a file that it reads, None: nothing."""

    words: tuple[str, ...]
    stdin: str | None = None


def run_of(command: Sequence[str], item: str, *, texts: bool) -> Run:
    """What is run for an item: its mark is replaced where the command has one. Else an agent (`@name`) reads the
    item's file on stdin, or gets the item as its words where items are `texts`; another command gets it as its last
    word."""
    if any(MARK in word for word in command[1:]):
        return Run((command[0], *(word.replace(MARK, item) for word in command[1:])))
    if not command[0].startswith("@"):
        return Run((*command, item))
    return Run((*command, item)) if texts else Run(tuple(command), stdin=item)


def takes_files(command: Sequence[str], *, texts: bool) -> bool:
    """Whether each item has to be a file that can be read."""
    return command[0].startswith("@") and not texts and not any(MARK in word for word in command[1:])


def mark_of(command: Sequence[str], *, texts: bool) -> str:
    """What makes two runs of `aish map` the same work: a digest of the command."""
    return hashlib.sha256(json.dumps([*command, texts]).encode()).hexdigest()[:16]
