"""The master of a process's pty, in the hands of who has the lease: keys, the window's size, what Ctrl-Z does."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
import termios
from typing import Final

_VDISABLE: Final = b"\0"


class Master:
    """Takes the descriptor. Nothing here blocks: what the pty does not take now waits in `typed`."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.typed = bytearray()

    def close(self) -> None:
        os.close(self.fd)

    def write(self) -> None:
        """Give the pty as much of `typed` as it takes."""
        try:
            while self.typed:
                del self.typed[: os.write(self.fd, self.typed)]
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EIO:  # EIO: the process has closed its terminal
                raise
            self.typed.clear()

    def fits(self) -> bool:
        """Whether it has the size of our terminal."""
        try:
            return _size(1) == _size(self.fd)
        except OSError:
            return True  # one of the two is gone

    def fit(self, *, redraw: bool = False) -> None:
        """Give it the size of our terminal (rows, columns, pixels).

        The kernel tells the program only of a size that is another one: to have it draw again, it gets one first.
        """
        try:
            size = _size(1)
            rows, columns, *pixels = struct.unpack("HHHH", size)
            if not rows or not columns:
                return  # nobody knows how large ours is
            if redraw and size == _size(self.fd):
                other = struct.pack("HHHH", rows - 1 if rows > 1 else 2, columns, *pixels)
                fcntl.ioctl(self.fd, termios.TIOCSWINSZ, other)
            fcntl.ioctl(self.fd, termios.TIOCSWINSZ, size)
        except OSError:
            pass  # one of the two is gone: there is nothing to fit

    def suspend_key(self) -> bytes:
        """The key by which the kernel would want to stop the process itself, and cannot; empty where it is not so.

        A supervised process leads a session whose parent is outside of it: its group is orphaned, and the kernel
        discards a stop from the terminal (setpgid(2), POSIX 11.1.4). So whoever reads the key has to pause it. Not
        where the program reads the key itself (no ISIG), nor where a shell has a job of its own in front (the
        kernel stops that one), nor where it ignores SIGTSTP, as a shell at its prompt does.
        """
        try:
            *_, flags, _, _, characters = termios.tcgetattr(self.fd)
            key = characters[termios.VSUSP]
            if not flags & termios.ISIG or not isinstance(key, bytes) or key == _VDISABLE:
                return b""
            front = os.tcgetpgrp(self.fd)
            return key if os.getsid(front) == front and not _ignores_stop(front) else b""
        except (OSError, termios.error):
            return b""  # its terminal has no process any more


def _size(fd: int) -> bytes:
    return fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8))


def _ignores_stop(pid: int) -> bool:
    with open(f"/proc/{pid}/status", "rb") as stream:
        for line in stream:
            if line.startswith(b"SigIgn:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTSTP - 1) & 1)
    return False
