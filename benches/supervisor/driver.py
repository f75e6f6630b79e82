"""What every supervisor here can do, in the words of the measurements."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import NamedTuple

from benches.programs import Programs

DEADLINE_S = 90.0


class Service(NamedTuple):
    """A program to be supervised: a shell script. `kept`: started again whenever it ends; else it runs once."""

    name: str
    script: str
    kept: bool = True
    logged: bool = False


class Driver(Programs, ABC):
    """One supervisor in one private folder. `up` and `begin` start, `stop` ends the services, `down` everything."""

    jobs = 500
    """How many short jobs one measurement takes: fewer where each takes long."""
    crowd = 1000
    """How many children it is measured with unless --full is given: fewer where they would take minutes."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.services: list[Service] = []

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

    # --- for drivers --------------------------------------------------------------------------------------------

    def script(self, service: Service) -> str:
        """The path of the service's script, made now."""
        path = f"{self.folder}/{service.name}.sh"
        write_script(path, service.script)
        return path


def write_script(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\n{text}\n")
    os.chmod(path, 0o755)
