"""One device through NVML: every question may go unanswered, and an unanswered one is None.

What a driver does not support differs by chip, driver release, MIG and virtualisation; programs that treat one
missing answer as a failure show nothing at all on such machines. Only two things are failures here: the device is
gone (`LostDevice`), or the library itself is (GpuError).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pynvml

from aish.spi.gpu import GpuError, GpuProcess, GpuSample

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_US: Final = 2_000_000
"""How far back a process's utilisation is asked for. The driver averages over 1/6 s to 1 s; older is stale."""

_LOST: Final = frozenset(
    {pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED, pynvml.NVML_ERROR_GPU_NOT_FOUND}
)
_GONE: Final = frozenset({pynvml.NVML_ERROR_UNINITIALIZED, pynvml.NVML_ERROR_DRIVER_NOT_LOADED})
_LISTS: Final = ("Compute", "Graphics", "MPSCompute")
_ATTEMPTS: Final = 3  # of a list that grew between asking for its size and reading it


class LostDevice(Exception):  # noqa: N818  a state of the device, never seen outside this plugin
    """The device fell off the bus or waits for a reset."""


def ask(function: Callable[..., Any], *arguments: object) -> Any | None:
    """The answer of one NVML call, None where there is none. Raises LostDevice, GpuError (library gone)."""
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        _raise_if_gone(error, function.__name__)
        return None
    except UnicodeDecodeError:  # a name or identifier that is no text
        return None


def _raise_if_gone(error: pynvml.NVMLError, call: str) -> None:
    if error.value in _LOST:
        raise LostDevice from error
    if error.value in _GONE:
        raise GpuError(f"the NVIDIA driver went away ({call}: {error})") from error


def memory(handle: Any) -> tuple[int | None, int | None]:
    """(total, used) in bytes. Version 2 where the driver has it: version 1 counts the driver's own share as used."""
    answer = ask(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2)
    if answer is None:
        answer = ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
    if answer is None:
        return None, None
    total_bytes, used_bytes = int(answer.total), int(answer.used)
    return total_bytes or None, used_bytes if used_bytes <= total_bytes else None


def sample(handle: Any, uuid: str, now_us: int) -> GpuSample:
    """A reading of one device; `now_us` is the wall clock, in which NVML stamps its samples."""
    used_bytes = memory(handle)[1]
    rates = ask(pynvml.nvmlDeviceGetUtilizationRates, handle)
    return GpuSample(
        uuid=uuid,
        used_bytes=used_bytes,
        utilisation_percent=None if rates is None else _percent(rates.gpu),
        power_w=_watts(ask(pynvml.nvmlDeviceGetPowerUsage, handle)),
        power_limit_w=_watts(ask(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)),
        temperature_c=_celsius(ask(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU)),
        processes=processes(handle, now_us),
    )


def processes(handle: Any, now_us: int) -> tuple[GpuProcess, ...]:
    """Who uses the device, by pid. A process in several lists is one process, with the larger of its figures."""
    vram: dict[int, int | None] = {}
    for which in _LISTS:
        for entry in _listed(handle, which):
            pid, used_bytes = int(entry.pid), entry.usedGpuMemory
            if pid <= 0:
                continue
            before = vram.get(pid)
            vram[pid] = max((n for n in (before, used_bytes) if n is not None), default=None)
    shares = _shares(handle, set(vram), now_us) if vram else {}
    return tuple(
        GpuProcess(pid=pid, vram_bytes=used_bytes, sm_percent=shares.get(pid))
        for pid, used_bytes in sorted(vram.items())
    )


def _listed(handle: Any, which: str) -> list[Any]:
    for version in ("v3", "v2"):
        function = getattr(pynvml, f"nvmlDeviceGet{which}RunningProcesses_{version}")
        for _ in range(_ATTEMPTS):
            try:
                answer: list[Any] = function(handle)
                return answer
            except pynvml.NVMLError_InsufficientSize:
                continue
            except pynvml.NVMLError_FunctionNotFound:
                break
            except pynvml.NVMLError as error:
                _raise_if_gone(error, function.__name__)
                return []
    return []


def _shares(handle: Any, pids: set[int], now_us: int) -> dict[int, float | None]:
    """SM share in percent per pid; None where unknown.

    The driver reports only processes that did something in the window, and NOT_FOUND where none did: no sample means
    idle. It also reports shares above 100, pids that are not on the device and stamps from the past: such samples
    are dropped, and a pid of which nothing else is known stays unknown rather than idle.
    """
    try:
        samples = pynvml.nvmlDeviceGetProcessUtilization(handle, now_us - WINDOW_US)
    except pynvml.NVMLError as error:
        if error.value not in (pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_NOT_FOUND):
            return {}
        samples = []
    newest: dict[int, int] = {}
    shares: dict[int, float | None] = dict.fromkeys(pids, 0.0)
    for entry in samples:
        pid, stamp_us, share = int(entry.pid), int(entry.timeStamp), int(entry.smUtil)
        if pid not in pids:
            continue
        if share > 100 or abs(stamp_us - now_us) > WINDOW_US:
            if pid not in newest:
                shares[pid] = None
            continue
        if stamp_us >= newest.get(pid, 0):
            newest[pid], shares[pid] = stamp_us, float(share)
    return shares


def _percent(value: int) -> float | None:
    return float(value) if 0 <= value <= 100 else None


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None or milliwatts > 100_000_000 else milliwatts / 1000


def _celsius(value: int | None) -> float | None:
    return None if value is None or not 0 < value < 200 else float(value)
