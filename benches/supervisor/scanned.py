"""What s6 and runit have in common: a folder of service folders, and a fifo to command each service."""

from __future__ import annotations

import os
from abc import abstractmethod

from benches import machine
from benches.supervisor.driver import DEADLINE_S, Driver, Service, write_script


class Scanned(Driver):
    """Starting the scanner starts what it finds, so that is what `begin` does: its own start is a few ms."""

    @property
    def place(self) -> str:
        return f"{self.folder}/services"

    @abstractmethod
    def scan(self) -> None:
        """Start the scanner over `place`."""

    @abstractmethod
    def log_command(self, folder: str) -> str:
        """The command that keeps a log in `folder` and throws nothing away."""

    def up(self, services: list[Service]) -> None:
        self.services = services
        os.mkdir(self.place)
        for service in services:
            folder = f"{self.place}/{service.name}"
            os.mkdir(folder)
            write_script(f"{folder}/run", service.script)
            if not service.kept:
                with open(f"{folder}/down", "w", encoding="utf-8"):
                    pass
            if service.logged:
                os.mkdir(f"{folder}/log")
                os.mkdir(f"{folder}/kept")
                write_script(f"{folder}/log/run", f"exec {self.log_command(f'{folder}/kept')}")

    def begin(self) -> None:
        self.scan()
        self._command("o", [service for service in self.services if not service.kept])

    def stop(self) -> None:
        self._command("d", self.services)

    def again(self) -> None:
        self.scan()

    def log_bytes(self, name: str) -> int:
        folder = f"{self.place}/{name}/kept"
        return sum(os.path.getsize(f"{folder}/{file}") for file in os.listdir(folder) if file != "config")

    def _command(self, letter: str, services: list[Service]) -> None:
        """What `s6-svc` and `sv` write, without a process for each."""
        todo = [f"{self.place}/{service.name}/supervise/control" for service in services]

        def all_told() -> bool:
            todo[:] = [path for path in todo if not _told(path, letter)]
            return not todo

        machine.until(all_told, DEADLINE_S, f"{self.name}: every service takes commands")


def _told(path: str, letter: str) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # its supervisor is not there yet
        return False
    try:
        return os.write(fd, letter.encode()) == 1
    finally:
        os.close(fd)
