"""Processes through pidfds: one is kept of each from its birth, and used when it is no child of the holder.

Keeper and holder both died and their children belong to init now, or it was adopted. A pidfd says when one ends; how,
the kernel tells while it is a zombie, and on Linux 6.15 and later for ever; else its status is unknown, never 0. The
next daemon gets the pidfds through the store of the next holder, so what ends in between is known, too.
"""

from __future__ import annotations

import asyncio
import os
import resource
from typing import TYPE_CHECKING, Final

from aish.model.exit import Exit
from aish.supervisor.daemon import proc
from aish.supervisor.holder import kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aish.supervisor.daemon.process import Process

REAP_WAIT_S: Final = 5.0
"""From its end on; only a reaped process has a status to tell, and init may be busy."""
_STEP_S: Final = 0.01
_BATCH: Final = 50
"""Opened in one turn of the loop at a take-over: some 2 ms."""


def store_name(id_: str, pid: int | None) -> str:
    """Of a pidfd on its way to the next daemon; the pid says which run it is of."""
    return f"pidfd.{id_}.{pid}"


class Watch:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._room = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2  # the other half is for everything else
        self._kept: dict[str, Process] = {}

    def keep(self, process: Process) -> None:
        """From its birth on: whatever becomes of its parents, its end can be seen. Not where descriptors are few."""
        row = process.row
        if process.pidfd is not None or row.pid is None or len(self._kept) >= self._room:
            return
        self.have(process, kernel.pidfd_of(row.pid, row.start_ticks))

    def have(self, process: Process, pidfd: int | None) -> None:
        """One that was opened before: by a daemon that is gone."""
        if process.pidfd is not None:
            os.close(process.pidfd)
        process.pidfd = pidfd
        if pidfd is not None:
            self._kept[process.id] = process

    def keep_soon(self, processes: Iterable[Process]) -> None:
        """Those that a new daemon finds: a few in each turn, so that nobody waits for thousands."""
        left = [process for process in processes if process.row.lifecycle in ("running", "stopping")]
        for process in left[:_BATCH]:
            self.keep(process)
        if left[_BATCH:]:
            self._loop.call_soon(self.keep_soon, left[_BATCH:])

    def legacy(self) -> dict[str, int]:
        """All pidfds, by the names under which the next daemon finds them."""
        return {
            store_name(process.id, process.row.pid): process.pidfd
            for process in self._kept.values()
            if process.pidfd is not None and not process.row.ended
        }

    def begin(self, process: Process, left: Callable[[Process, Exit], None]) -> None:
        """Call `left` when it ends; at once (in the next turn) if it is not there any more."""
        row = process.row
        if process.watch_fd is not None:
            return
        self.keep(process)
        fd = process.pidfd
        if fd is None and row.pid is not None:  # beyond what is kept of the others: this one has nothing else
            fd = kernel.pidfd_of(row.pid, row.start_ticks)
        if fd is None:
            self._loop.call_soon(left, process, Exit(None, None))
            return
        process.watch_fd = fd
        self._loop.add_reader(fd, self._ended, process, fd, left)

    def end(self, process: Process) -> None:
        if process.watch_fd is not None:
            self._loop.remove_reader(process.watch_fd)
            if process.watch_fd != process.pidfd:
                os.close(process.watch_fd)
            process.watch_fd = None
        if process.pidfd is not None:
            os.close(process.pidfd)
            process.pidfd = None
            self._kept.pop(process.id, None)

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
        status = kernel.stranger_status(fd, process.row.pid or 0, process.row.start_ticks)
        if deadline is None:
            deadline = self._loop.time() + REAP_WAIT_S
        unreaped = status is None and proc.state(process.row.pid) == "Z"  # its status may still come to light
        if unreaped and self._loop.time() < deadline:
            self._loop.call_later(_STEP_S, self._ended, process, fd, left, deadline)
            return
        self.end(process)
        left(process, Exit.from_wait_status(status))
