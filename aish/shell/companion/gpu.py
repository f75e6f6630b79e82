"""GPU memory at a glance, from the driver's library; what it costs to ask is the companion's."""

from __future__ import annotations

import time

_EVERY_S = 2.0
_last: tuple[float, tuple[int, int] | None] | None = None
_missing = False


def memory() -> tuple[int, int] | None:
    """(used, total) bytes of all GPUs; None where there is none."""
    global _last, _missing  # noqa: PLW0603 -- the library is loaded and asked once for this process
    if _missing:
        return None
    if _last is not None and time.monotonic() - _last[0] < _EVERY_S:
        return _last[1]
    import pynvml

    try:
        pynvml.nvmlInit()
        used = total = 0
        for index in range(pynvml.nvmlDeviceGetCount()):
            found = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(index))
            used, total = used + int(found.used), total + int(found.total)
    except pynvml.NVMLError:
        _missing = True
        return None
    _last = (time.monotonic(), (used, total) if total else None)
    return _last[1]
