"""The GpuDriver on NVML: keeps the library open and finds lost devices again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from aish.plugins.nvml import confine
from aish.spi.gpu import GpuDevice, GpuError, GpuSample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.plugins.nvml.library import Opened

REOPEN_S: Final = 30.0
"""Least time between two tries to find a lost device again: opening the library can take a second."""


class NvmlDriver:
    """One thread at a time: the sampler's. pynvml is imported by the first question for devices."""

    name = "nvml"

    def __init__(self, reopen_s: float = REOPEN_S) -> None:
        self._opened: list[Opened] | None = None
        self._lost_since: float | None = None
        self._reopen_s = reopen_s

    def devices(self) -> Sequence[GpuDevice]:
        return [opened.device for opened in self._open()]

    def sample(self) -> Sequence[GpuSample]:
        opened = self._open()
        from aish.plugins.nvml import reading

        samples = []
        try:
            for handle, device in opened:
                try:
                    samples.append(reading.sample(handle, device.uuid, time.time_ns() // 1000))
                except reading.LostDevice:
                    if self._lost_since is None:
                        self._lost_since = time.monotonic()
        except GpuError:
            self.close()
            raise
        return samples

    def environ(self, uuids: Sequence[str], vram_bytes: int | None) -> dict[str, str]:
        totals = {device.uuid: device.memory_bytes for _, device in self._opened or ()}
        return confine.environ(uuids, vram_bytes, totals)

    def close(self) -> None:
        if self._opened is not None:
            from aish.plugins.nvml import library

            library.stop()
        self._opened, self._lost_since = None, None

    def _open(self) -> list[Opened]:
        if self._lost_since is not None and time.monotonic() - self._lost_since >= self._reopen_s:
            self.close()  # only a fresh start of the library sees a device that came back
        if self._opened is None:
            try:
                from aish.plugins.nvml import library
            except ImportError as error:
                raise GpuError("pynvml is not installed", hint="pip install nvidia-ml-py") from error
            self._opened = library.start()
        return self._opened
