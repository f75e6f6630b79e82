"""What every supervisor here can do, in the words of the measurements."""

from __future__ import annotations

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from typing import NamedTuple

from benches.supervisor import machine

DEADLINE_S = 90.0
MARKER = "AISH_BENCH"
"""The variable by which all that a driver started is known: its value is the driver's own folder."""


class NotToBeHadError(Exception):
    """A peer that this machine does not have and that could not be fetched; why."""


class Service(NamedTuple):
    """A program to be supervised: a shell script. `kept`: started again whenever it ends; else it runs once."""

    name: str
    script: str
    kept: bool = True
    logged: bool = False


class Driver(ABC):
    """One supervisor in one private folder. `up` and `begin` start, `stop` ends the services, `down` everything."""

    name = ""
    jobs = 500
    """How many short jobs one measurement takes: fewer where each takes long."""
    crowd = 1000
    """How many children it is measured with unless --full is given: fewer where they would take minutes."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.services: list[Service] = []
        self.started: list[subprocess.Popen[bytes]] = []

    @abstractmethod
    def up(self, services: list[Service]) -> None:
        """Have a supervisor that is ready to start `services`, of which none is started."""

    @abstractmethod
    def begin(self) -> None:
        """Start all services; need not wait until they run."""

    @abstractmethod
    def stop(self) -> None:
        """Ask all services to end; need not wait until they have."""

    @abstractmethod
    def again(self) -> None:
        """Start the supervisor once more after it was killed, as its user or its init system would."""

    @abstractmethod
    def own(self) -> list[int]:
        """The pids of the supervisor itself: all its programs, no service."""

    @abstractmethod
    def main(self) -> int:
        """The pid of the program that people call the supervisor."""

    @abstractmethod
    def log_bytes(self, name: str) -> int:
        """How many bytes a service's log holds now."""

    def down(self) -> None:
        """End everything that was started here, whatever it has become."""
        for _ in range(20):
            left = self.marked()
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

    # --- for drivers --------------------------------------------------------------------------------------------

    def environ(self) -> dict[str, str]:
        """A small environment, with the mark."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return kept | {"HOME": self.folder, MARKER: self.folder}

    def launch(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a program of the peer; its words go to FOLDER/words."""
        with open(f"{self.folder}/words", "ab") as words:
            process = subprocess.Popen(
                argv, cwd=self.folder, env=self.environ(), stdin=subprocess.DEVNULL, stdout=words, stderr=words
            )
        self.started.append(process)
        return process

    def script(self, service: Service) -> str:
        """The path of the service's script, made now."""
        path = f"{self.folder}/{service.name}.sh"
        write_script(path, service.script)
        return path

    def marked(self) -> list[int]:
        """Everything that lives and has our mark."""
        return machine.marked(f"{MARKER}={self.folder}")

    def called(self, *names: str) -> list[int]:
        """What lives, has our mark and one of these names."""
        return [pid for pid in self.marked() if machine.comm(pid) in names]


def write_script(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\n{text}\n")
    os.chmod(path, 0o755)
