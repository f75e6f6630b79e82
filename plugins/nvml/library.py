"""Opening libnvidia-ml and listing its devices. Importing this loads pynvml (some 20 ms), so only the driver does."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import pynvml

from aish.plugins.nvml import reading
from aish.spi.gpu import GpuDevice, GpuError


class Opened(NamedTuple):
    handle: Any
    device: GpuDevice


def start() -> list[Opened]:
    """Open the library and list its devices; a lost one is left out. Raises GpuError with what to do."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise _explained(error) from error
    try:
        return _devices(int(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        stop()
        raise _explained(error) from error
    except GpuError:
        stop()
        raise


def stop() -> None:
    try:
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        pass  # the library is gone already: that is what was wanted


def _devices(count: int) -> list[Opened]:
    found = []
    for index in range(count):
        try:
            opened = _device(index)
        except reading.LostDevice:
            continue
        if opened is not None:
            found.append(opened)
    return found


def _device(index: int) -> Opened | None:
    """None: the device cannot be opened or has no identity, so nothing could be promised on it."""
    handle = reading.ask(pynvml.nvmlDeviceGetHandleByIndex, index)
    if handle is None:
        return None
    uuid = reading.ask(pynvml.nvmlDeviceGetUUID, handle)
    if not uuid:
        return None
    total_bytes = reading.memory(handle)[0]
    if total_bytes is None:
        # Integrated GPUs (Jetson, GB10) answer NOT_SUPPORTED: they allocate from the machine's own memory.
        total_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    name = reading.ask(pynvml.nvmlDeviceGetName, handle) or "NVIDIA GPU"
    return Opened(handle, GpuDevice(index=index, uuid=str(uuid), name=str(name), memory_bytes=total_bytes))


def _explained(error: pynvml.NVMLError) -> GpuError:
    """NVML's refusal to start, as a sentence with what to do."""
    match error.value:
        case pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            return GpuError(
                "no NVIDIA driver: libnvidia-ml.so.1 was not found",
                hint="without a GPU, `python -m aish.plugins.simgpu create` makes a simulated one",
            )
        case pynvml.NVML_ERROR_DRIVER_NOT_LOADED:
            return GpuError("the NVIDIA kernel driver is not loaded", hint="load it with `modprobe nvidia`, as root")
        case pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
            return GpuError(
                "the NVIDIA library and the loaded kernel driver have different versions",
                hint="the driver was upgraded: restart the machine",
            )
        case pynvml.NVML_ERROR_NO_PERMISSION:
            return GpuError(
                "no permission to use the NVIDIA driver", hint="look at the owner and mode of /dev/nvidiactl"
            )
        case _:
            return GpuError(f"the NVIDIA driver does not start: {error}", hint="`nvidia-smi` shows the same fault")
