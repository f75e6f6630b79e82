"""The end of an interactive shell: Ctrl-D and IGNOREEOF, TMOUT, jobs left behind, a terminal that is gone."""

from __future__ import annotations

import errno
import termios

from aish.lang.digits import saturated
from aish.lang.job import RUNNING, STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime

_ENDS_IGNORED = 10
"""What `set -o ignoreeof`, and an IGNOREEOF that is no number, stand for."""


class IdleError(Exception):
    """TMOUT: nobody has typed a line for so long."""


class Leaving:
    """What a shell has said about its end, and what it was told."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self._ends = 0
        """Ctrl-D, one after the other."""
        self._warned = False
        """Just now, of jobs that leaving would end; or they were looked at."""

    def typed(self, text: str) -> None:
        """A command was typed: whoever has just looked at `jobs` knows of them."""
        self._ends = 0
        self._warned = text.split()[:1] == ["jobs"]

    def end_is_meant(self) -> bool:
        """Whether this Ctrl-D is the end of the shell; else it says what is."""
        self._ends += 1
        if self._ends <= _ends_ignored(self.rt):
            self.rt.error_line('Use "exit" to leave the shell.')
            return False
        return True

    def is_refused(self) -> bool:
        """Whether jobs are in the way; that is said once."""
        kind = "" if self._warned else _left_behind(self.rt)
        if kind:
            _warn(self.rt, kind)
            self._warned = True
        return bool(kind)


def idle_s(rt: Runtime) -> float | None:
    """TMOUT; None: for ever."""
    text = rt.vars.get("TMOUT") or ""
    return (float(saturated(text)) or None) if text.isdecimal() and text.isascii() else None


def terminal_is_gone() -> bool:
    """Whether what looked like Ctrl-D was the end of the terminal."""
    try:
        termios.tcgetattr(0)
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)  # a pipe or a file says ENOTTY
    return False


def _ends_ignored(rt: Runtime) -> int:
    text = rt.vars.get("IGNOREEOF")
    if text is None:
        return _ENDS_IGNORED if rt.ignoreeof else 0
    return saturated(text) if text.isdecimal() and text.isascii() else _ENDS_IGNORED


def _warn(rt: Runtime, kind: str) -> None:
    """With `shopt -s checkjobs`, of which jobs."""
    listed = "checkjobs" in rt.shopt
    rt.error_line(f"There are {kind} jobs." + ("" if listed else "  `jobs` lists them; leave again to end them."))
    for job in rt.jobs.listed() if listed else ():
        job.changed = False
        rt.error_line(job.line(rt.jobs.mark_of(job)))


def _left_behind(rt: Runtime) -> str:
    """What the jobs are that leaving would end; '' without any."""
    rt.jobs.reap()
    if any(job.state == STOPPED for job in rt.jobs.order):
        return "stopped"
    checked = "checkjobs" in rt.shopt
    return "running" if checked and any(job.state == RUNNING for job in rt.jobs.order) else ""
