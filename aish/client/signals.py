"""Signals as bytes on a descriptor, so that they can be waited for beside sockets and files."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self


class Caught:
    """While open, the given signals end nothing; `arrived` tells their numbers, `fileno` is readable when some came.

    A signal that was ignored on entry (nohup, a background job of a shell without job control) stays ignored.
    """

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._numbers = tuple(numbers)

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._before = {
            number: signal.signal(number, _nothing)
            for number in self._numbers
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._read)
        os.close(self._write)

    def fileno(self) -> int:
        return self._read

    def arrived(self) -> bytes:
        """The numbers of the signals that came since the last call, in order."""
        try:
            return os.read(self._read, 64)
        except BlockingIOError:
            return b""


def _nothing(number: int, frame: object) -> None:
    """A handler must be there for the wake-up descriptor to be written."""
