"""Pid 1 of a sandbox: starts the program, takes in orphans, tells its end, and ends with the last of them.

Without it the program would be pid 1 itself, which the kernel gives no signal that it does not ask for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time

from . import descriptors, doors, proxy
from .become import become

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Final, NoReturn

    from .order import Order

_SAME_S: Final = 0.5
"""A signal that came to us within this time is the one that the proxy has had: it was for the whole group."""
_LATE_S: Final = 0.005
"""By so much the kernel may be later with us than with the proxy."""


def run(order: Order, sock: socket.socket, streams: list[int]) -> NoReturn:
    """`streams`: the program's descriptors 0 to 2, by other numbers."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    _check(order.opened)
    held = None if order.channel is None else doors.stand_open(order.doors, order.channel)
    child = os.fork()
    if child == 0:
        descriptors.close_all_but({*streams, *order.fds})  # what is left leads out of here: folders, the proxy
        for number, fd in enumerate(streams):
            os.dup2(fd, number, inheritable=True)
            os.close(fd)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        become(order.candidates, order.argv, order.env)
    bell = proxy.Bell()
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # A stream of the program's would keep its reader waiting.
    descriptors.close_all_but({*bell.fds, sock.fileno(), *(() if held is None else (held,))})
    sock.send(proxy.READY)
    _First(child, bell, sock).loop()


def _check(opened: dict[str, int]) -> None:
    """What was mounted is what was looked at: a part of its path may have become a link in between."""
    for path, fd in opened.items():
        there, meant = os.stat(path), os.fstat(fd)
        if (there.st_dev, there.st_ino) != (meant.st_dev, meant.st_ino):
            raise OSError(errno.ESTALE, "another folder than the one that was meant", path)


class _First:
    def __init__(self, child: int, bell: proxy.Bell, sock: socket.socket) -> None:
        self.child, self.bell, self.sock = child, bell, sock
        self.seen: dict[int, float] = {}
        self.over = False

    def loop(self) -> NoReturn:
        while True:
            ears, _, _ = select.select([self.bell.fd, *([] if self.over else [self.sock.fileno()])], [], [])
            self._hear()
            if self.sock.fileno() in ears:
                told = self.sock.recv(64)
                if not told:
                    os._exit(0)  # the leader was killed: so is all that is here
                if told[:1] == proxy.SIGNAL:
                    self._pass(told[1])
            self._reap()

    def _hear(self) -> None:
        now = time.monotonic()
        self.seen.update(dict.fromkeys(self.bell.heard(), now))

    def _pass(self, number: int) -> None:
        if not self._had(number):
            select.select([self.bell.fd], [], [], _LATE_S)
            self._hear()
            if not self._had(number):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.child, number)

    def _had(self, number: int) -> bool:
        at = self.seen.pop(number, None)
        return at is not None and time.monotonic() - at < _SAME_S

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                os._exit(0)
            if pid == 0:
                return
            if pid == self.child:
                self.over = True
                with contextlib.suppress(OSError):
                    proxy.end(self.sock, status, rest=self._others())

    def _others(self) -> bool:
        try:
            return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False
