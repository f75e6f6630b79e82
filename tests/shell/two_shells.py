"""Two shells on ptys of their own, given the same keystrokes: bash as the oracle, and aish.

What is compared is what matters to a person: statuses, what programs wrote, who has the terminal, which processes
live. Every step waits for something that must happen; nothing sleeps and hopes.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import pexpect

from tests.lang.conftest import ROOT

BASH = shutil.which("bash")
DEADLINE_S = 60.0
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>]|\r")
INTERRUPT, QUIT, STOP, END = "\x03", "\x1c", "\x1a", "\x04"


class Shell:
    """One of the two on a dumb terminal, so that nothing but its text arrives."""

    def __init__(self, which: str, folder: Path, *words: str, term: str = "dumb", **environment: str) -> None:
        self.which = which
        folder.mkdir(exist_ok=True)
        self.folder = folder
        argv = (
            [BASH or "bash", "--norc", "--noprofile", *words]
            if which == "bash"
            else [sys.executable, "-m", "aish.shell", "--norc", *words]
        )
        self.child = pexpect.spawn(
            argv[0],
            argv[1:],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "TERM": term,
                "LC_ALL": "C.UTF-8",
                "PS1": "PROMPT> ",
                "PS2": "MORE> ",
                "HISTFILE": "/dev/null",
                "XDG_STATE_HOME": str(folder / "state"),
                "XDG_CONFIG_HOME": str(folder / "config"),
                "XDG_RUNTIME_DIR": str(folder),
                "PYTHONPATH": str(ROOT),
                "S": "bash --norc" if which == "bash" else f"{sys.executable} -m aish.shell --norc",
                "AISH": f"{sys.executable} -m aish.shell --norc",
                **environment,
            },
            cwd=str(folder),
            encoding="utf-8",
            timeout=DEADLINE_S,
            dimensions=(30, 200),
            echo=True,
            preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL),
        )
        self.child.delaybeforesend = None
        self.prompt()

    def close(self) -> None:
        self.child.close(force=True)

    # ------------------------------------------------------------------------------------------ keys

    def type(self, keys: str) -> None:
        self.child.send(keys)

    def prompt(self) -> str:
        """Wait for the prompt; what came before it, as plain text."""
        self.child.expect_exact("PROMPT> ")
        return plain(self.child.before)

    def see(self, text: str) -> str:
        """Wait until `text` is there; what came before it."""
        self.child.expect_exact(text)
        return plain(self.child.before)

    def run(self, line: str) -> str:
        """Type a line, wait for the next prompt; what it wrote."""
        self.type(line + "\n")
        return self.prompt().removeprefix(line + "\n")

    def status(self) -> int:
        """$?"""
        return int(re.findall(r"=(\d+)=", self.run('echo "=$?="'))[-1])

    def start(self, line: str, program: str = "sleep") -> None:
        """Type a line and wait until `program` of it runs, and its group has the terminal."""
        self.type(line + "\n")
        self.until(lambda: self.in_front(program), f"{line!r} never got the terminal")

    def end(self) -> int:
        """Wait until the shell is gone; its exit status, or minus the signal."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        if self.child.exitstatus is not None:
            return int(self.child.exitstatus)
        return -int(self.child.signalstatus or 0)

    # ---------------------------------------------------------------------------------------- looking

    def has_terminal(self) -> str:
        return "shell" if os.tcgetpgrp(self.child.child_fd) == self.child.pid else "job"

    def until(self, happened: object, why: str) -> None:
        """The kernel tells nobody of a change of the foreground group or of a process's state: ask again."""
        end = time.monotonic() + DEADLINE_S
        while not happened():  # type: ignore[operator]
            assert time.monotonic() < end, f"{self.which}: {why}"
            time.sleep(0.005)

    def jobs(self) -> list[tuple[int, str, str]]:
        """(number, mark, first word of the state) of each job."""
        out = self.run("jobs")
        return [(int(n), mark, word) for n, mark, word in re.findall(r"\[(\d+)\]([ +-])\s+(\w+)", out)]

    def until_job(self, number: int, state: str) -> None:
        self.until(
            lambda: any(n == number and word == state for n, _, word in self.jobs()), f"job {number} never {state}"
        )

    def in_front(self, program: str) -> bool:
        """Whether `program` runs in the group that has the terminal."""
        group = os.tcgetpgrp(self.child.child_fd)
        return any(name == program and pgid == group for name, _, _, pgid in self._processes())

    def states(self, *names: str) -> list[str]:
        """The states of the processes of this terminal with these names, as ps has them (T, S ...), sorted."""
        return sorted(f"{name} {state}" for name, state, _, _ in self._processes() if name in names)

    def _processes(self) -> list[tuple[str, str, int, int]]:
        """(name, state, pid, group)"""
        session, found = self.child.pid, []  # the pty's first process leads it
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    name, _, rest = (entry / "stat").read_text().partition(" (")[2].rpartition(") ")
                except OSError:
                    continue
                fields = rest.split()
                if int(fields[3]) == session and fields[0] != "Z":
                    found.append((name, fields[0], int(entry.name), int(fields[2])))
        return found

    def kill(self, name: str, signo: int = signal.SIGKILL) -> None:
        """End what runs under this name on the terminal."""
        for found, _, pid, _ in self._processes():
            if found == name:
                with contextlib.suppress(ProcessLookupError):  # it ends just now by itself, or by what was typed
                    os.kill(pid, signo)


def plain(text: str) -> str:
    """Without escape sequences and carriage returns."""
    return _ESCAPES.sub("", text)
