"""Programs that a measurement starts in one private folder: known by a mark, and all ended with it."""

from __future__ import annotations

import os
import signal
import subprocess

from benches import machine

MARKER = "AISH_BENCH"
"""The variable by which all that was started is known: its value is the private folder."""


class Programs:
    """What was started in `folder`, and all that came of it."""

    name = ""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def environ(self) -> dict[str, str]:
        """A small environment, with the mark."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return kept | {"HOME": self.folder, MARKER: self.folder}

    def launch(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a program; its words go to FOLDER/words."""
        with open(f"{self.folder}/words", "ab") as words:
            process = subprocess.Popen(
                argv, cwd=self.folder, env=self.environ(), stdin=subprocess.DEVNULL, stdout=words, stderr=words
            )
        self.started.append(process)
        return process

    def marked(self) -> list[int]:
        """Everything that lives and has our mark."""
        return machine.marked(f"{MARKER}={self.folder}")

    def family(self) -> list[int]:
        """What was started and still lives, with all that descends from it; parents first."""
        return machine.family(process.pid for process in self.started)

    def called(self, *names: str) -> list[int]:
        """What lives, has our mark and one of these names."""
        return [pid for pid in self.marked() if machine.comm(pid) in names]

    def down(self) -> None:
        """End everything that was started here, whatever it has become."""
        for _ in range(20):
            # The family too: some programs write their title over the environment that the mark is in.
            left = list(dict.fromkeys([*self.family(), *self.marked()]))
            for pid in left:
                machine.kill(pid, signal.SIGKILL)
            for process in self.started:
                if process.poll() is None:
                    process.kill()
                process.wait()
            self.started.clear()
            if not left:
                return
            machine.wait_gone(left, 2.0)
        raise RuntimeError(f"{self.name}: processes that do not end: {self.marked()}")
