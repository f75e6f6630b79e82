"""One daemon per user and machine: a flock in the state folder, named by host and boot. An earlier boot's is void.

A second lock is for the folder itself: where homes are shared over the network, two machines must not write one
table. It says whose it is; flock works over NFS (flock(2)), and where it does not, the folder is taken to be ours.
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


def take(folder: str, boot_id: str) -> int:
    """The locked descriptor, to be kept open for life. Waits for a daemon that is just leaving.

    Raises ConflictError when another daemon has it, StorageError when the folder does not allow it.
    """
    fd = _take(os.path.join(folder, f"daemon-{platform.node()}-{boot_id}.lock"), "another daemon of this user runs")
    try:
        _take_folder(folder)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _take_folder(folder: str) -> None:
    """For life. Raises ConflictError when another machine has it."""
    try:
        fd = _take(os.path.join(folder, FOLDER_LOCK), f"a daemon of another machine uses {folder}")
    except (StorageError, OSError):
        return  # read-only, or a file system without locks: told elsewhere
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, platform.node().encode(), 0)
    except OSError:
        return  # a full disk: the lock holds all the same


def _take(path: str, taken: str) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)  # a read-only disk can still be locked
        except OSError:
            raise StorageError(f"cannot open the lock {path}: {error.strerror}") from error
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                os.close(fd)
                raise ConflictError(taken) from error
            time.sleep(_STEP_S)  # flock has no time-out; before anything else has begun nobody waits for us
