"""Variables that ask a process to stay on its devices and within its quota. Pure.

All of them are advisory: a program that clears its environment, or allocates by the driver itself, gets round them;
the watchdog is what holds. They are proposals, too: what the user set already must win, and only the daemon, which
has the caller's environment, can see that. It merges these *under* the captured environment.

PyTorch's per_process_memory_fraction is left out on purpose. Releases that do not know the key refuse the whole
variable and end the program when CUDA is first used (the key came in after 2.9, by pytorch/pytorch#161035, while
2.9 reads PYTORCH_ALLOC_CONF already), and nobody can tell from here which release a child will import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTEXT_BYTES: Final = 512 << 20
"""What a CUDA context costs outside a framework's allocator: NVML and the quota count it, the framework does not."""


def environ(uuids: Sequence[str], vram_bytes: int | None, totals: Mapping[str, int]) -> dict[str, str]:
    """`vram_bytes` is the quota per device (None: none); `totals` maps uuid to the device's memory in bytes.

    No devices: nothing is said, so a process that asked for none is left as it is.
    """
    if not uuids:
        return {}
    variables = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(uuids)}
    if vram_bytes is None:
        return variables
    cap_bytes = max(vram_bytes - CONTEXT_BYTES, vram_bytes // 2)
    variables["CUPY_GPU_MEMORY_LIMIT"] = str(cap_bytes)
    known = [totals[uuid] for uuid in uuids if totals.get(uuid)]
    if len(known) == len(uuids):
        # One fraction holds for every device: taken of the largest, it exceeds the quota on none.
        variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] = _fraction(cap_bytes, max(known))
    return variables


def _fraction(cap_bytes: int, total_bytes: int) -> str:
    """Rounded down to a ten-thousandth: never above the cap, never zero."""
    return f"{min(max(cap_bytes * 10_000 // total_bytes, 1), 10_000) / 10_000:.4f}"
