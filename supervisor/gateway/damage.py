"""A gateway.db that cannot be read: kept under another name, and a new one begun. What that costs is told."""

from __future__ import annotations

import os
import time
from typing import Final

from aish.errors import StorageError
from aish.supervisor.gateway.records import DamagedError, Records

_TAILS: Final = ("-wal", "-shm")


def open_records(path: str) -> tuple[Records, str | None]:
    """The records, and what a person must know where they had to be begun anew. Raises StorageError."""
    try:
        return Records(path), None
    except DamagedError as error:
        aside = _move_aside(path)
        alert = (
            f"{error.message}; it is kept as {aside}. The keys of `aish key new` are gone with it: make new ones."
            " So are the budgets of the user and of projects: set them again."
            " Budgets of what runs go on from what the daemon knew; earlier usage is not shown"
        )
        return Records(path), alert


def _move_aside(path: str) -> str:
    """Its write-ahead log belongs to it, and would be taken for that of the new file."""
    aside = f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"
    try:
        os.rename(path, aside)
        for tail in _TAILS:
            if os.path.exists(path + tail):
                os.rename(path + tail, aside + tail)
    except OSError as error:
        raise StorageError(f"cannot move the damaged {path} aside: {error.strerror}") from error
    return aside
