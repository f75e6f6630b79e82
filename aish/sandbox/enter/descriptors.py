"""Descriptors of a process that becomes another: which there are, which stay, where they are out of the way."""

from __future__ import annotations

import contextlib
import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Final

_HIGH: Final = 512


def high(fd: int) -> int:
    """A copy out of the way of the program's own, that is inherited."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD, _HIGH)


def memory(name: str, data: bytes) -> int:
    """A file in memory that is inherited, to be read from its beginning."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return high(fd)


def others() -> list[int]:
    """All that are open but the three streams."""
    found = []
    for fd in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # the one that lists them
            os.fstat(fd)
            found.append(fd)
    return [fd for fd in found if fd > 2]


def streams() -> list[int]:
    found = []
    for fd in (0, 1, 2):
        with contextlib.suppress(OSError):
            os.fstat(fd)
            found.append(fd)
    return found


def close_all_but(kept: Collection[int]) -> None:
    """The three streams stay, too."""
    for fd in others():
        if fd not in kept:
            with contextlib.suppress(OSError):
                os.close(fd)
