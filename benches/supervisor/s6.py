"""s6: one s6-supervise per service under one s6-svscan."""

from __future__ import annotations

from benches import fetch
from benches.supervisor.scanned import Scanned

_LARGEST_LOG = 268_435_455


class S6(Scanned):
    name = "s6"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.program = fetch.debian("s6-svscan", "s6")
        self._pid = 0

    def scan(self) -> None:
        self._pid = self.launch(self.program, "-c", "4000", self.place).pid

    def log_command(self, folder: str) -> str:
        return f"s6-log n20 s{_LARGEST_LOG} {folder}"

    def own(self) -> list[int]:
        return self.called("s6-svscan", "s6-supervise", "s6-log")

    def main(self) -> int:
        return self._pid
