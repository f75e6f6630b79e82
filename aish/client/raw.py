"""Our own terminal: its modes while every key is the process's, and whether there is a shell behind it."""

from __future__ import annotations

import os
import signal
import termios
import tty
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self


class RawTerminal:
    """Raw while entered: every key is the process's, Ctrl-C too. In the background, entering stops us until `fg`."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def enter(self) -> None:
        """Again as well: a shell that took the terminal back may have set its own modes."""
        try:
            if self._before is None:
                self._before = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSADRAIN)
        except termios.error:
            pass  # it is gone, as who reads it is told; or SIGCONT came between, for which we are called once more

    def leave(self) -> None:
        try:
            if self._before is not None:
                termios.tcsetattr(0, termios.TCSADRAIN, self._before)
        except termios.error:
            pass  # nobody sees its modes any more
        self._before = None


def shell_waits() -> bool:
    """Whether somebody with job control sees it when our process group stops: else the kernel discards the stop.

    Upwards from us, over parents of the same group (`uv run aish …`), to the first that is not: it must be of our
    session.
    """
    group, parent = os.getpgrp(), os.getppid()
    try:
        while os.getpgid(parent) == group:
            parent = _parent(parent)
        return os.getsid(parent) == os.getsid(0)
    except (OSError, ValueError):
        return False  # it has just ended, or is outside of what we may see


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as stream:
        return int(stream.read().rpartition(b")")[2].split()[1])


def stop_group() -> None:
    """Stop as Ctrl-Z stops: all of our process group, so that the shell sees the job stopped. Returns at SIGCONT."""
    before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        os.kill(0, signal.SIGTSTP)
    finally:
        signal.signal(signal.SIGTSTP, before)
