"""Runs NvmlDriver in a process of its own: the loader reads LD_LIBRARY_PATH only at start.

One command a line on stdin (devices, sample, close, environ), one JSON answer a line on stdout.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from aish.plugins.nvml.driver import NvmlDriver
from aish.spi.gpu import GpuDriver, GpuError


def answer(driver: GpuDriver, command: str) -> object:
    match command.split():
        case ["devices"]:
            return [asdict(device) for device in driver.devices()]
        case ["sample"]:
            return [asdict(sample) for sample in driver.sample()]
        case ["close"]:
            driver.close()
            return None
        case ["environ", vram, *uuids]:
            return driver.environ(uuids, int(vram) or None)
        case _:
            raise ValueError(command)


def main() -> None:
    driver = NvmlDriver(reopen_s=0.0)
    assert isinstance(driver, GpuDriver)
    for line in sys.stdin:
        try:
            result = {"ok": answer(driver, line)}
        except GpuError as error:
            result = {"error": error.message, "hint": error.hint}
        print(json.dumps(result), flush=True)


main()
