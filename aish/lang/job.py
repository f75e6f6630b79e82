"""A job: processes that belong together, and what became of them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.source import Site

RUNNING = "Running"
STOPPED = "Stopped"
DONE = "Done"


def exit_status(raw: int) -> int:
    """What $? says about a status of waitpid: the exit status, or 128 + the signal."""
    if os.WIFEXITED(raw):
        return os.WEXITSTATUS(raw)
    if os.WIFSTOPPED(raw):
        return 128 + os.WSTOPSIG(raw)
    return 128 + os.WTERMSIG(raw)


class Process:
    """One child. `raw` is its last waitpid status, None while nothing is known; `text` its command, '' where it is
    the whole job's."""

    __slots__ = ("pid", "raw", "text")

    def __init__(self, pid: int, text: str = "") -> None:
        self.pid = pid
        self.raw: int | None = None
        self.text = text

    @property
    def state(self) -> str:
        if self.raw is None or os.WIFCONTINUED(self.raw):
            return RUNNING
        return STOPPED if os.WIFSTOPPED(self.raw) else DONE

    @property
    def status(self) -> int:
        """Its exit status; 127 where it was lost to somebody else's wait."""
        return 127 if self.raw is None else exit_status(self.raw)


class Job:
    """A pipeline or a background list. `number` is 0 until it is in the table; `pgid` 0 without job control."""

    __slots__ = ("changed", "kept", "modes", "number", "pgid", "processes", "site", "text")

    def __init__(self, text: str, site: Site | None = None) -> None:
        self.text = text
        self.site = site
        """Where its command stands."""
        self.processes: list[Process] = []
        self.pgid = 0
        self.number = 0
        self.changed = False
        self.kept = False
        """`disown -h`: no SIGHUP when the shell ends."""
        self.modes: list[object] | None = None
        """The terminal's modes when it was stopped."""

    def add(self, pid: int, text: str = "") -> Process:
        process = Process(pid, text)
        self.processes.append(process)
        return process

    @property
    def state(self) -> str:
        states = [process.state for process in self.processes]
        if RUNNING in states:
            return RUNNING
        return STOPPED if STOPPED in states else DONE

    @property
    def status(self) -> int:
        """The exit status of its last process."""
        return self.processes[-1].status

    @property
    def ended(self) -> bool:
        """Whether all its processes have."""
        return self.state == DONE

    @property
    def killed(self) -> bool:
        """Whether it is done, by a signal."""
        raw = self.processes[-1].raw
        return self.state == DONE and raw is not None and os.WIFSIGNALED(raw)

    @property
    def shown(self) -> str:
        """Its command, as bash prints it: laid out, however it was written."""
        from aish.lang.reprint import laid_out

        return laid_out(self.text, self.site)

    def describe(self) -> str:
        """The word of `jobs`: Running, Stopped, Done, Exit 2, Terminated."""
        return _word_for(self.state, self.processes[-1].raw)

    def line(self, mark: str, *, long: bool = False, posix: bool = False) -> str:
        """What `jobs` and the prompt show, as bash has it; `long`: with the ids of its processes."""
        tail = " &" if self.state == RUNNING else ""
        text, what = self.shown, self.describe()
        if posix and what.startswith("Exit "):
            what = f"Done({what[5:]})"
        if not long:
            return f"[{self.number}]{mark}  {what:<23} {text}{tail}"
        first, *rest = self.processes
        if not rest or not first.text:
            return f"[{self.number}]{mark} {first.pid:>5} {what:<23} {text}{tail}"
        lines = [f"[{self.number}]{mark} {first.pid:>5} {self.describe():<23} {first.text}"]
        before = self.describe()
        for process in rest:
            word = _word_for(process.state, process.raw)
            lines.append(f"     {process.pid:>5} {'' if word == before else word:<21} | {process.text}")
            before = word
        return "\n".join(lines) + tail


def _word_for(state: str, raw: int | None) -> str:
    if state != DONE or raw is None:
        return state
    if os.WIFSIGNALED(raw):
        from aish.lang import signal_names

        return signal_names.describe(os.WTERMSIG(raw))
    status = os.WEXITSTATUS(raw)
    return DONE if status == 0 else f"Exit {status}"
