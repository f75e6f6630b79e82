"""NVIDIA GPUs through NVML (pynvml, from nvidia-ml-py). Entry point `nvml` of the group `aish.gpu`."""

from __future__ import annotations

from aish.plugins.nvml.driver import NvmlDriver


def driver() -> NvmlDriver:
    """The driver; touches neither the library nor the hardware before it is asked for devices."""
    return NvmlDriver()
