"""A file with the key of an upstream: one that others can read is none."""

from __future__ import annotations

import os
import stat

from aish.errors import NotFoundError, UsageError


def checked(path: str) -> str:
    """Its absolute path. Raises UsageError, NotFoundError."""
    path = os.path.abspath(path)
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise NotFoundError(f"{path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):  # opening a FIFO would hang whoever reads the key
        raise UsageError(f"{path} is not a regular file", hint="write the key to a file that only you can read")
    if mode & 0o077:
        raise UsageError(f"{path} can be read by others", hint=f"first: chmod 600 {path}")
    return path
