"""Simulated GPUs, for the demo, for tests and for people without a GPU. Entry point `simgpu` of group `aish.gpu`.

A folder with a devices.json is a machine's worth of cards; no folder, no cards. Programs take simulated VRAM by
`aish.plugins.simgpu.allocation` or `python -m aish.plugins.simgpu run`; a sample shows what living processes took.
Quotas, queue, watchdog and views cannot tell it from a real card.
"""

from __future__ import annotations

from aish.plugins.simgpu.driver import SimDriver


def driver() -> SimDriver:
    return SimDriver()
