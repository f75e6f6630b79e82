"""Files of KV slots as llama.cpp writes them: whose conversation is in one, and how many there may be.

    "ggsq" version n   n numbers of 32 bits, then the state
    the numbers        -1 1 k, k tokens, and what is no text; older builds: the tokens alone

A build that writes something else is not understood, so that nothing of it is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from array import array
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from aish.errors import ConflictError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

FILES_MOST: Final = 8
"""Of one agent: the oldest go."""
KEPT_MOST_BYTES: Final = 2 << 30
"""Of all agents together: the oldest go."""
FILE_MOST_BYTES: Final = 1 << 30
_MAGIC: Final = b"qsgg"
_HEAD_BYTES: Final = 12
_WRAPPED: Final = (-1, 1)
_TOKENS_MOST: Final = 1 << 24
_PIECE_BYTES: Final = 1 << 20


class OtherConversationError(ConflictError):
    def __init__(self) -> None:
        super().__init__("its slot has another conversation by now: others have asked its model's server since")


class Found(NamedTuple):
    sha256: str
    bytes: int


def look(path: str, prompt: list[int], tokens: int) -> Found:
    """A file just written, which is to hold so many tokens, this prompt first. Raises InputError,
    OtherConversationError, OSError."""
    with open(path, "rb") as file:
        held = _tokens(file.read(_HEAD_BYTES + 4 * (tokens + len(_WRAPPED) + 2)))
        if len(held) != tokens or held[: len(prompt)].tolist() != prompt:
            raise OtherConversationError
        file.seek(0)
        return _summed(file)


def digest(path: str) -> str:
    """Raises OSError."""
    with open(path, "rb") as file:
        return _summed(file).sha256


def _summed(file: BinaryIO) -> Found:
    found, length = hashlib.sha256(), 0
    while piece := file.read(_PIECE_BYTES):
        found.update(piece)
        length += len(piece)
    return Found(found.hexdigest(), length)


def _tokens(head: bytes) -> array[int]:
    """As many as are in the beginning of a file. Raises InputError."""
    numbers = array("i")
    if head[:4] != _MAGIC or numbers.itemsize != 4 or sys.byteorder != "little":
        raise InputError("its server writes files that aish does not know")
    whole = (len(head) - _HEAD_BYTES) // 4
    numbers.frombytes(head[_HEAD_BYTES : _HEAD_BYTES + 4 * whole])
    if tuple(numbers[:2]) != _WRAPPED:
        return numbers[: int.from_bytes(head[8:12], "little")]
    return numbers[3 : 3 + max(0, numbers[2])]


def prune(folders: list[str], *, files: int = FILES_MOST, most_bytes: int = KEPT_MOST_BYTES) -> None:
    """In the folders of agents the oldest go of what is too much; a file that several have counts for each a part."""
    newest: list[tuple[float, float, str]] = []
    for folder in folders:
        found = []
        with contextlib.suppress(OSError):
            for entry in os.scandir(folder):
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    found.append((status.st_mtime, status.st_size / max(1, status.st_nlink), entry.path))
        found.sort(reverse=True)
        _drop(path for *_, path in found[files:])
        newest += found[:files]
    total_bytes = 0.0
    for _, size_bytes, path in sorted(newest, reverse=True):
        total_bytes += size_bytes
        if total_bytes > most_bytes:
            _drop((path,))


def _drop(paths: Iterable[str]) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
