"""Folders opened for somebody who may put links in their way meanwhile: what was checked is what is used."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def opened(fd: int) -> str:
    """What the kernel says that is open there."""
    return os.readlink(f"/proc/self/fd/{fd}")


def folder(path: str, allowed: Callable[[str], bool]) -> int:
    """A descriptor of an absolute folder without links; what is missing of it is made. `allowed` is asked about the
    path that the kernel has opened, and about each that is made below it.

    Raises OSError, PermissionError where it is not allowed."""
    there, missing = path, []
    while not os.path.lexists(there):
        there, name = os.path.split(there)
        missing.append(name)
    fd = os.open(there, _FLAGS)
    try:
        _check(opened(fd), path, allowed)
        for name in reversed(missing):
            _check(os.path.join(opened(fd), name), path, allowed)
            os.mkdir(name, dir_fd=fd)
            inner = os.open(name, _FLAGS, dir_fd=fd)
            os.close(fd)
            fd = inner
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check(there: str, meant: str, allowed: Callable[[str], bool]) -> None:
    if not allowed(there):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), meant)
