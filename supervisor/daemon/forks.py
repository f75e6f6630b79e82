"""Fork bombs where no control group counts: the machine's tasks are watched, and who may be at fault is counted.

A bomb takes the processor from whoever has to end it, so it must be seen while it is small: one cheap read each 20 ms
as long as something runs whose limit of processes only counting holds.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.daemon.process import Process

EVERY_S: Final = 0.02
GROWTH: Final = 16
"""So many tasks more on the machine are worth a count."""
ANYWAY: Final = 12
"""After so many looks all are counted, whatever the machine's number says: in a container it may be another's."""


class Forks:
    """`watched` tells whether a process is to be counted, `count` counts it and does what follows."""

    def __init__(self, watched: Callable[[Process], bool], count: Callable[[Process], None]) -> None:
        self._watched, self._count = watched, count
        self._processes: dict[str, Process] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._fd: int | None = None
        self._tasks = 0
        self._looks = 0

    def watch(self, process: Process) -> None:
        """It runs, or its limit was changed."""
        if self._watched(process):
            self._processes[process.id] = process
            if self._timer is None:
                self._arm()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._look)

    def _look(self) -> None:
        self._timer = None
        tasks = self._machine()
        self._looks += 1
        if tasks is None or tasks >= self._tasks + GROWTH or self._looks >= ANYWAY:
            self._looks = 0
            self._processes = {id_: each for id_, each in self._processes.items() if self._watched(each)}
            for process in list(self._processes.values()):
                self._count(process)
            self._tasks = tasks or 0
        else:
            self._tasks = min(self._tasks, tasks)
        if self._processes:
            self._arm()

    def _machine(self) -> int | None:
        """Processes and threads of the machine: the fourth figure of /proc/loadavg, proc(5)."""
        try:
            if self._fd is None:
                self._fd = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)
            return parse(os.pread(self._fd, 128, 0))
        except OSError:
            return None


def parse(text: bytes) -> int | None:
    """Pure."""
    words = text.split()
    count = words[3].partition(b"/")[2] if len(words) > 3 else b""
    return int(count) if count.isdigit() else None
