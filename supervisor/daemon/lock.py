"""One daemon for a state folder: a flock on its daemon.lock, which says whose it is.

Not one for each host: where homes are shared over the network, two machines must not write one table. flock works
over NFS (flock(2)), and is gone with the machine or process that had it.
"""

from __future__ import annotations

import fcntl
import os
import platform
import time
from typing import Final

from aish.client.bringup import FOLDER_LOCK
from aish.errors import ConflictError, StorageError

WAIT_S: Final = 2.0
_STEP_S: Final = 0.01


def take(folder: str) -> int:
    """The locked descriptor, to be kept open for life. Waits for a daemon that is just leaving.

    Raises ConflictError when another daemon has it, StorageError when the folder does not allow it.
    """
    path = os.path.join(folder, FOLDER_LOCK)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)  # a read-only disk can still be locked
        except OSError:
            raise StorageError(f"cannot open the lock {path}: {error.strerror}") from error
    _wait(fd)
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, platform.node().encode(), 0)
    except OSError:
        return fd  # a full or read-only disk: the lock holds all the same
    return fd


def clear(folder: str) -> None:
    """This daemon leaves, and nothing is supervised: nobody needs to look after what it left."""
    try:
        os.truncate(os.path.join(folder, FOLDER_LOCK), 0)
    except OSError:
        return  # then the next client looks in vain, once


def _wait(fd: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                os.close(fd)
                raise ConflictError("another daemon has this state folder") from error
            time.sleep(_STEP_S)  # flock has no time-out; before anything else has begun nobody waits for us
        except OSError as error:
            os.close(fd)
            raise StorageError(f"the state folder cannot be locked: {error.strerror}") from error
