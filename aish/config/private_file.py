"""A file of this user's alone, written whole or not at all."""

from __future__ import annotations

import contextlib
import os


def replace(path: str, data: bytes, *, draft: str | None = None, lasting: bool = False) -> None:
    """Who reads meanwhile finds the file before or after; its mode is 0600. `draft` (PATH.new): where it is written
    first, on the same file system; several writers have several. `lasting`: also when the machine goes down.

    Raises OSError: the file is as it was."""
    draft = draft or f"{path}.new"
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(fd, "wb") as file:
            file.write(data)
            if lasting:
                file.flush()
                os.fsync(fd)
        os.replace(draft, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
