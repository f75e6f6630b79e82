"""Another checkout of aish in turn with this one: what a change costs or gives, however busy the machine is."""

from __future__ import annotations

import json
import os
import subprocess

from benches.fetch import NotToBeHadError
from benches.gateway.driver import DEADLINE_S, Address, Driver

_STAND = """
import json, sys
from benches.gateway.ours import Ours

driver = Ours(sys.argv[1], sys.argv[2])
try:
    start_s = driver.up()
    print(json.dumps({"start_s": start_s, "address": driver.address, "own": driver.own(), "whole": driver.whole()}))
    sys.stdout.flush()
    sys.stdin.read()
finally:
    driver.down()
"""
"""That checkout's own driver, by its own Python, as long as stdin is open."""


class Beside(Driver):
    name = "aish there"
    checkout = ""
    """Its folder; it needs a .venv (./dev setup)."""

    def __init__(self, folder: str, upstream_url: str) -> None:
        super().__init__(folder, upstream_url)
        self.program = f"{os.path.abspath(self.checkout)}/.venv/bin/python"
        if not os.path.exists(self.program):
            raise NotToBeHadError(f"there is no {self.program}")
        self._stands: subprocess.Popen[str] | None = None
        self._own: list[int] = []
        self._whole: list[int] = []

    def up(self) -> float | None:
        self._stands = subprocess.Popen(
            [self.program, "-c", _STAND, self.folder, self.upstream_url],
            cwd=self.checkout,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._stands.stdout is not None
        line = self._stands.stdout.readline()
        if not line:
            raise RuntimeError("its driver ended")
        told = json.loads(line)
        self._address, self._own, self._whole = Address(*told["address"]), told["own"], told["whole"]
        start_s: float | None = told["start_s"]
        return start_s

    @property
    def address(self) -> Address:
        return self._address

    def own(self) -> list[int]:
        return self._own

    def whole(self) -> list[int]:
        return self._whole

    def down(self) -> None:
        if self._stands is not None:
            self._stands.communicate(timeout=DEADLINE_S)
        super().down()
