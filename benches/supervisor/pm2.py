"""pm2: one Node.js daemon, told what to do by its command line tool."""

from __future__ import annotations

import json
import os

from benches import fetch
from benches.supervisor.driver import DEADLINE_S, Driver, Service


class Pm2(Driver):
    name = "pm2"
    jobs = 60
    crowd = 200

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.program = fetch.node("pm2", "pm2")

    def environ(self) -> dict[str, str]:
        return super().environ() | {"PM2_HOME": f"{self.folder}/pm2", "PM2_DISABLE_VERSION_CHECK": "true"}

    def up(self, services: list[Service]) -> None:
        self.services = services
        apps = [
            {
                "name": service.name,
                "script": self.script(service),
                "interpreter": "none",
                "exec_mode": "fork",
                "autorestart": service.kept,
                "out_file": f"{self.folder}/{service.name}.log" if service.logged else "/dev/null",
                "error_file": "/dev/null",
                "pmx": False,
            }
            for service in services
        ]
        with open(f"{self.folder}/apps.json", "w", encoding="utf-8") as file:
            json.dump({"apps": apps}, file)
        self._tool("ping")

    def begin(self) -> None:
        self._tool("start", f"{self.folder}/apps.json")
        self._tool("save")

    def stop(self) -> None:
        self._tool("stop", "all")

    def again(self) -> None:
        """What `pm2 startup` has the init system do."""
        self._tool("resurrect")

    def own(self) -> list[int]:
        return [self.main()]

    def main(self) -> int:
        with open(f"{self.folder}/pm2/pm2.pid", encoding="ascii") as file:
            return int(file.read())

    def log_bytes(self, name: str) -> int:
        path = f"{self.folder}/{name}.log"
        return os.path.getsize(path) if os.path.exists(path) else 0

    def _tool(self, *words: str) -> None:
        self.launch(self.program, *words).wait(DEADLINE_S)
