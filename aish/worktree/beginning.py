"""Who is about to have somebody begin in a new worktree holds its folder: one that nobody holds and nobody began in
was left by a kill. The kernel lets go of it, however its holder ends."""

from __future__ import annotations

import fcntl
import os

from aish.errors import StorageError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def hold(folder: str) -> int:
    """A descriptor, which holds it until it is closed. Raises StorageError."""
    try:
        fd = os.open(folder, _FOLDER)
        fcntl.flock(fd, fcntl.LOCK_SH)
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}") from error
    return fd


def is_held(folder: str) -> bool:
    """True also where nobody can tell."""
    try:
        fd = os.open(folder, _FOLDER)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
