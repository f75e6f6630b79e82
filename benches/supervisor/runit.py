"""runit: one runsv per service under one runsvdir."""

from __future__ import annotations

from benches import fetch
from benches.supervisor.driver import Service
from benches.supervisor.scanned import Scanned


class Runit(Scanned):
    name = "runit"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.program = fetch.debian("runsvdir", "runit")
        self._pid = 0

    def up(self, services: list[Service]) -> None:
        super().up(services)
        for service in services:
            if service.logged:
                with open(f"{self.place}/{service.name}/kept/config", "w", encoding="ascii") as file:
                    file.write("s0\nn0\n")

    def scan(self) -> None:
        self._pid = self.launch(self.program, self.place).pid

    def log_command(self, folder: str) -> str:
        return f"svlogd {folder}"

    def own(self) -> list[int]:
        return self.called("runsvdir", "runsv", "svlogd")

    def main(self) -> int:
        return self._pid
