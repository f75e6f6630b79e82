"""Processes that are not the holder's children: watched, and signalled, through a pidfd.

Keeper and holder both died and their children belong to init now, or it was adopted. A pidfd says when one ends, on
Linux 6.15 and later also how; before that its status is unknown, never 0.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from aish.model.exit import Exit
from aish.supervisor.holder import kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.daemon.process import Process

REAP_WAIT_S: Final = 5.0
"""From its end on; only a reaped process has a status to tell, and init may be busy."""
_STEP_S: Final = 0.01


class Watch:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def begin(self, process: Process, left: Callable[[Process, Exit], None], fd: int | None = None) -> None:
        """Call `left` when it ends; at once (in the next turn) if it is not there any more.

        `fd`: a pidfd of it, ours from now on; it may have ended. Without one it must still be there."""
        row = process.row
        if process.watch_fd is not None:
            return
        if fd is None:
            fd = kernel.pidfd_of(row.pid, row.start_ticks) if row.pid is not None else None
        if fd is None:
            self._loop.call_soon(left, process, Exit(None, None))
            return
        process.watch_fd = fd
        self._loop.add_reader(fd, self._ended, process, fd, left)

    def end(self, process: Process) -> None:
        if process.watch_fd is not None:
            self._loop.remove_reader(process.watch_fd)
            os.close(process.watch_fd)
            process.watch_fd = None

    def signal(self, process: Process, number: int, *, group: bool = True) -> bool:
        """To its group, or to itself alone. False if it is gone."""
        if process.watch_fd is None or process.row.pid is None:
            return False
        try:
            kernel.signal_stranger(process.watch_fd, process.row.pid, number, group)
        except OSError:
            return False
        return True

    def _ended(
        self, process: Process, fd: int, left: Callable[[Process, Exit], None], deadline: float | None = None
    ) -> None:
        if process.watch_fd != fd:
            return  # meanwhile it is watched no more, or another run of it is
        self._loop.remove_reader(fd)
        status = kernel.pidfd_status(fd)
        if deadline is None:
            deadline = self._loop.time() + REAP_WAIT_S
        if status is None and self._loop.time() < deadline and _zombie(process.row.pid):
            self._loop.call_later(_STEP_S, self._ended, process, fd, left, deadline)
            return
        if status is None:
            status = kernel.pidfd_status(fd)  # it was reaped between the two looks
        self.end(process)
        left(process, Exit.from_wait_status(status))


def _zombie(pid: int | None) -> bool:
    """Ended and not reaped yet: its status may still come to light."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"Z"
    except (OSError, IndexError):
        return False
