"""File descriptors: moving them, keeping what was under a number, putting it back.

A redirection of a built-in, a function or a compound command is done in the shell itself and undone after it:
what was under the number is kept on a high close-on-exec descriptor. A program inherits 0-2 and what the
script opened, nothing else.
"""

from __future__ import annotations

import errno
import os

from aish.lang.control import CommandError
from aish.lang.text import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    Saved = list[tuple[int, int]]
    """(descriptor, its copy or -1 where it was closed)"""

FIRST_NAMED = 10
"""Where {name}>file, <( ) and coproc have theirs: above those that people number."""

FIRST_PRIVATE = 64
"""The shell's own descriptors are at or above this number."""

MOST_FD = (1 << 31) - 1
"""A number for which the system says that it is no descriptor; of one above it Python says more."""


def place(new: int, fd: int, saved: Saved | None) -> None:
    """Put the open file `new` under the number `fd`."""
    if new == fd:  # it was closed before
        if saved is not None:
            saved.append((fd, -1))
        os.set_inheritable(fd, True)
        return
    keep(fd, saved)
    os.dup2(new, fd, True)
    os.close(new)


def is_private(fd: int) -> bool:
    """Whether a number is none of the script's: the shell's own, a new pipe's perhaps, or a standard one that was
    closed (aish.streams)."""
    if FIRST_NAMED <= fd < FIRST_PRIVATE:
        return False
    try:
        return not os.get_inheritable(fd)
    except OSError:
        return True


def copy(source: int, fd: int) -> None:
    if is_private(source):
        raise CommandError(f"{source}: Bad file descriptor")
    try:
        if source == fd:
            os.set_inheritable(fd, True)
        else:
            os.dup2(source, fd, True)
    except OSError as error:
        raise CommandError(f"{source}: {error.strerror}") from None


def open_high(fd: int, *, inheritable: bool = True) -> int:
    """Move an open file to a number that no script uses by itself."""
    import fcntl

    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD if inheritable else fcntl.F_DUPFD_CLOEXEC, FIRST_NAMED)
    except OSError as error:
        raise CommandError(f"no descriptor left: {error.strerror}") from None
    finally:
        os.close(fd)


def duplicate(source: int) -> int:
    """A copy of what is under a script's own number, on a new one."""
    if is_private(source):
        raise CommandError(f"{source}: Bad file descriptor")
    try:
        return open_high(os.dup(source))
    except OSError as error:
        raise CommandError(f"{source}: {error.strerror}") from None


def document(text: str) -> int:
    """A file in memory that holds `text`: no writer that could block, no name, seekable."""
    fd = os.memfd_create("here-document", os.MFD_CLOEXEC)
    data = memoryview(encode(text))
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        pass  # it was closed: that is what was asked for


def keep(fd: int, saved: Saved | None) -> None:
    """Remember what is under `fd`, to be put back by `restore`."""
    if saved is None:
        return
    try:
        saved.append((fd, _private_copy(fd)))
    except OSError as error:
        if error.errno != errno.EBADF:
            raise CommandError(f"{fd}: cannot keep a copy: {error.strerror}") from None
        saved.append((fd, -1))


def restore(saved: Saved) -> None:
    """Undo redirections, the last one first."""
    while saved:
        fd, copy = saved.pop()
        if copy < 0:
            close(fd)
        else:
            os.dup2(copy, fd, True)
            os.close(copy)


def drop(saved: Saved) -> None:
    """`exec` without a command: the redirections stay."""
    while saved:
        copy = saved.pop()[1]
        if copy >= 0:
            os.close(copy)


def private(fd: int) -> int:
    """Move a descriptor of the shell's own out of the way of scripts."""
    moved = _private_copy(fd)
    os.close(fd)
    return moved


def _private_copy(fd: int) -> int:
    """Without fcntl, which is a shared library, where the number of our first one or one behind it will do."""
    number = FIRST_PRIVATE
    while number == fd or is_open(number):
        number += 1
    try:
        return os.dup2(fd, number, False)
    except OSError as error:
        if error.errno != errno.EBADF or not is_open(fd):
            raise
    import fcntl  # the limit on descriptors is lower than our place

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)


def is_written(fd: int) -> bool:
    """Whether it is open, and for writing."""
    from fcntl import F_GETFL, fcntl

    try:
        return fcntl(fd, F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except OSError:
        return False


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
