"""A signal that comes just before a program begins to wait must end that wait, too.

Python runs a signal's handler between two of its own instructions. One that arrives after the last of them and
before the system call is only noted, and the call blocks: a Ctrl-C without effect. A wake-up descriptor
(signal.set_wakeup_fd) is written by the C handler itself, so a wait that polls it, too, returns at once.
"""

from __future__ import annotations

import os
import select
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket
    from typing import Self

_active: Final[list[int]] = []
"""The descriptor to poll, innermost last."""


class Interruptible:
    """Around a program that waits for the daemon. In the main thread only; a signal needs a handler to be seen."""

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        _active.append(self._read)
        return self

    def __exit__(self, *_: object) -> None:
        _active.remove(self._read)
        signal.set_wakeup_fd(self._before)
        os.close(self._read)
        os.close(self._write)


def readable(sock: socket.socket) -> None:
    """Wait until there is something to read, where somebody asked that signals end that; else the reader blocks.

    Raises TimeoutError after the socket's own time-out, and what a signal's handler raises.
    """
    if not _active:
        return
    wake, timeout_s = _active[-1], sock.gettimeout()
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        ready = poll.poll(None if timeout_s is None else timeout_s * 1000)
        if not ready:
            raise TimeoutError
        if any(fd != wake for fd, _ in ready):
            return
        os.read(wake, 64)  # its handler has run by now, and let us go on
