"""A source of GPU devices and samples. Entry point group `aish.gpu`: a callable that returns a GpuDriver.

The sampler calls a driver from a thread of its own, never from the daemon's loop: a call may block or fail at any
time. A driver raises GpuError with a sentence for people; the sampler keeps the last good sample and its age.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from aish.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence


class GpuError(UnavailableError):
    """The driver's fault: not installed, lost device, call failed. The text says which call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuDevice:
    """Fixed properties of a device; `uuid` is its identity over restarts and renumbering."""

    index: int
    uuid: str
    name: str
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess:
    """A process on a device; pids are those of the host. None: the driver does not tell."""

    pid: int
    vram_bytes: int | None = None
    sm_percent: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSample:
    """One reading of one device."""

    uuid: str
    used_bytes: int | None = None
    utilisation_percent: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    temperature_c: float | None = None
    processes: Sequence[GpuProcess] = field(default=())


@runtime_checkable
class GpuDriver(Protocol):
    name: str

    def devices(self) -> Sequence[GpuDevice]:
        """The devices there are; empty where there is no such hardware. Raises GpuError."""
        ...

    def sample(self) -> Sequence[GpuSample]:
        """A reading of every device, in any order; a lost device is left out. Raises GpuError."""
        ...

    def environ(self, uuids: Sequence[str], vram_bytes: int | None) -> dict[str, str]:
        """Variables that confine a process to these devices (CUDA_VISIBLE_DEVICES and the like): advisory."""
        ...

    def close(self) -> None: ...
