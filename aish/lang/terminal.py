"""The controlling terminal: which process group has it, and its modes.

A new job takes the terminal itself, in the child, and the shell gives it in the parent as well: whichever runs
first, no program reads before its group is in the foreground.
"""

from __future__ import annotations

import os
import termios

from aish.lang import descriptors, signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.job import Job
    from aish.lang.runtime import Runtime

_MODES = list[object]


class Terminal:
    """The terminal on `fd`; `group` is the shell's own process group."""

    def __init__(self, fd: int, group: int, before: int) -> None:
        self.fd = fd
        self.group = group
        self.before = before
        """The group that had the terminal when the shell came."""
        self.modes = termios.tcgetattr(fd)

    def give(self, pgid: int, modes: list[object] | None = None) -> None:
        """Put a group into the foreground, with the modes it had when it was stopped."""
        if modes is not None:
            self._set_modes(modes)
        try:
            os.tcsetpgrp(self.fd, pgid)
        except OSError:
            pass  # the group is gone already: a program that ended at once

    def take_back(self, job: Job) -> None:
        """The foreground job ended or stopped. What an ended one did to the modes on purpose (stty) stays;
        one that was stopped or killed had no chance to put them back."""
        raw = job.processes[-1].raw
        orderly = raw is not None and os.WIFEXITED(raw)
        if raw is not None and os.WIFSTOPPED(raw):
            job.modes = self._get_modes()
        os.tcsetpgrp(self.fd, self.group)
        if orderly:
            self.modes = self._get_modes() or self.modes
        else:
            self._set_modes(self.modes)

    def release(self) -> None:
        """The shell ends, or ends job control."""
        try:
            os.tcsetpgrp(self.fd, self.before)
        except OSError:
            pass  # that group is gone, and nobody is left to have the terminal
        os.close(self.fd)

    def _get_modes(self) -> list[object] | None:
        try:
            return termios.tcgetattr(self.fd)
        except termios.error:
            return None  # hung up

    def _set_modes(self, modes: list[object]) -> None:
        try:
            termios.tcsetattr(self.fd, termios.TCSADRAIN, modes)  # type: ignore[arg-type]
        except termios.error:
            pass  # hung up: the next read will say so


def take_control(rt: Runtime) -> Terminal | None:
    """Become the terminal's foreground group; None where there is no terminal, or it is not ours."""
    try:
        fd = descriptors.private(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return None
    try:
        before = os.tcgetpgrp(fd)
        if rt.interactive:
            while before != os.getpgrp():  # started in the background: wait to be brought forward
                os.killpg(0, signals.SIGTTIN)
                before = os.tcgetpgrp(fd)
            rt.signals.be_interactive()
            if os.getpgrp() != os.getpid() and os.getsid(0) != os.getpid():
                os.setpgid(0, 0)
        elif before != os.getpgrp():
            os.close(fd)
            return None
        else:
            rt.signals.ignore_for_terminal()
        os.tcsetpgrp(fd, os.getpgrp())
    except OSError:
        os.close(fd)
        return None
    return Terminal(fd, os.getpgrp(), before)
