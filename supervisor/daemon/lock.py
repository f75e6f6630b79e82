"""One daemon per user and machine: a flock in the state folder, named by host and boot.

The name makes a shared home folder safe (another machine has another lock) and a lock left by an earlier boot void.
"""

from __future__ import annotations

import fcntl
import os
import platform
import time
from typing import Final

from aish.errors import ConflictError, StorageError

WAIT_S: Final = 2.0
_STEP_S: Final = 0.01


def take(folder: str, boot_id: str) -> int:
    """The locked descriptor, to be kept open for life. Waits for a daemon that is just leaving.

    Raises ConflictError when another daemon has it, StorageError when the folder does not allow it.
    """
    path = os.path.join(folder, f"daemon-{platform.node()}-{boot_id}.lock")
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
                raise ConflictError("another daemon of this user runs") from error
            time.sleep(_STEP_S)  # flock has no time-out; before anything else has begun nobody waits for us
