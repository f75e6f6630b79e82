"""Standard descriptors that whoever started us closed (`<&-`, `>&-`): kept away from everything else.

The next file or socket would get their numbers, and what is printed would go into it. So /dev/null takes them, opened
the wrong way round, so that reading stdin and writing stdout fail as on a closed descriptor; and close-on-exec, so
that programs find them closed. That mark also tells `is_open` which of them they are: nothing inherited has it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Complaints go nowhere when stderr is closed: that they cannot be told is no reason to fail.
_MODES: Final = (os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)


def closed() -> list[int]:
    """Those of 0 to 2 that are not open at all."""
    found = []
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            found.append(fd)
    return found


def fill() -> None:
    """Have 0 to 2 taken, and Python's streams there: `print` to a stream that is None writes to another one."""
    for fd in closed():
        null = os.open(os.devnull, _MODES[fd] | os.O_CLOEXEC)
        if null != fd:  # a lower number became free meanwhile
            os.dup2(null, fd, inheritable=False)
            os.close(null)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  for the life of the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  for the life of the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115  for the life of the process


def is_open(fd: int) -> bool:
    """Whether a standard descriptor is one that a program started from here would have."""
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False
