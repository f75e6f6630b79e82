"""Our own terminal: its modes while every key is the process's, and whether there is a shell behind it."""

from __future__ import annotations

import os
import signal
import termios
import tty
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from typing import Self

FALLBACK: Final = (24, 80)


class RawTerminal:
    """Raw from `enter` on: every key is the process's, Ctrl-C too."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    @property
    def entered(self) -> bool:
        return self._before is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def enter(self) -> bool:
        """Again as well: a shell that took the terminal back may have set its own modes. In the background this stops
        us until we are in front. False: it is not raw, since a signal came meanwhile, or since it is gone."""
        try:
            before = termios.tcgetattr(0) if self._before is None else self._before
            tty.setraw(0, termios.TCSADRAIN)
            self._before = before
        except termios.error:
            return False
        return True

    def leave(self) -> None:
        """In the background the modes are the shell's already, and setting them would stop us."""
        try:
            if self._before is not None and _in_front():
                termios.tcsetattr(0, termios.TCSADRAIN, self._before)
        except termios.error:
            pass  # nobody sees its modes any more
        self._before = None


def size() -> tuple[int, int]:
    """Rows and columns of our terminal, or what terminals usually have."""
    try:
        found = os.get_terminal_size(1)
    except OSError:
        return FALLBACK
    return found.lines or FALLBACK[0], found.columns or FALLBACK[1]


def _in_front() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return True  # not the terminal that we are controlled by: nobody is in the background there


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
