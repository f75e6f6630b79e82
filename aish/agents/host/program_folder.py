"""What a program in a sandbox keeps from turn to turn: its home there is gone with each.

A folder of the agent's. What is in it the program wrote: nothing of that is followed or believed.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from typing import Final

from aish.errors import LimitError, StorageError

NAME: Final = "program"
MOST_BYTES: Final = 1 << 30
"""That a fork takes along."""
_DATABASES: Final = (".sqlite", ".sqlite-wal", ".sqlite-shm")
"""Not taken along: they name files by the folder that they are in (Codex's do), and a copy of one in use is torn."""
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def make(kept: str) -> str:
    """Below the agent's folder `kept`. Raises StorageError."""
    path = os.path.join(kept, NAME)
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    return path


def take_along(source: str, kept: str) -> None:
    """The files of another agent's, for one that goes on from its checkpoint; links, pipes and sockets are left.

    Raises StorageError, LimitError."""
    theirs, ours = os.path.join(source, NAME), os.path.join(kept, NAME)
    if not os.path.isdir(theirs) or os.path.exists(ours):
        return
    draft = f"{ours}.new"
    shutil.rmtree(draft, ignore_errors=True)
    left_bytes = MOST_BYTES
    try:
        for folder, _, names, fd in os.fwalk(theirs):
            place = os.path.normpath(os.path.join(draft, os.path.relpath(folder, theirs)))
            os.makedirs(place, mode=0o700)
            for name in (each for each in names if not each.endswith(_DATABASES)):
                left_bytes -= _copied(fd, name, os.path.join(place, name), left_bytes)
        os.rename(draft, ours)
    except OSError as error:
        raise StorageError(f"{theirs}: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _copied(folder_fd: int, name: str, path: str, most_bytes: int) -> int:
    """Bytes of it. Raises LimitError."""
    try:
        fd = os.open(name, _READ, dir_fd=folder_fd)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENOENT):  # a link, a socket, gone meanwhile
            return 0
        raise
    with open(fd, "rb") as source:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return 0
        size_bytes = 0
        with open(os.open(path, _NEW, 0o600), "wb") as target:
            while piece := source.read(1 << 20):
                size_bytes += len(piece)
                if size_bytes > most_bytes:
                    raise LimitError(f"what its program keeps is more than {MOST_BYTES >> 30} GiB: it is not copied")
                target.write(piece)
        return size_bytes
