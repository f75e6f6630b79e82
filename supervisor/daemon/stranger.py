"""A process that was ours and whose parents died: nobody tells us more, but its pidfd says when it has ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Final

from aish.model.exit import Exit
from aish.supervisor.daemon import proc, tags
from aish.supervisor.daemon.watch import REAP_WAIT_S
from aish.supervisor.holder import kernel

KILLED_S: Final = 5.0
"""How long what was killed may take to be gone: after that it hangs in the kernel."""
_LOOK_S: Final = 0.01


class Stranger:
    """By a pidfd, which is its own from now on. `gone` is done when it has ended."""

    def __init__(self, fd: int, pid: int, start_ticks: int) -> None:
        self._fd, self._pid, self._start_ticks = fd, pid, start_ticks
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(fd, self._ended)

    def _ended(self) -> None:
        self._loop.remove_reader(self._fd)
        if not self.gone.done():
            self.gone.set_result(None)

    async def end(self) -> Exit | None:
        """How, where anybody can tell; who took it in may still have to reap it."""
        until_s = self._loop.time() + REAP_WAIT_S
        while (status := kernel.stranger_status(self._fd, self._pid, self._start_ticks)) is None:
            if proc.state(self._pid) != "Z" or self._loop.time() > until_s:
                return None
            await asyncio.sleep(_LOOK_S)
        return Exit.from_wait_status(status)

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            kernel.signal_stranger(self._fd, self._pid, signal.SIGKILL, True)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


def unnoted(tag: str, prefix: str) -> tuple[int, int] | None:
    """Pid and start_ticks of the errand with that tag that was begun last, of those whose ids begin so, where it goes
    on: the leader of a session. Its children may have made sessions of their own, but are younger."""
    found: dict[str, tuple[int, int]] = {}
    for pid in tags.everybody():
        place = proc.stat(pid)
        if place is None or place.session != pid or tags.tag_of(pid) != tag:
            continue
        errand = tags.value_of(pid, tags.ERRAND) or ""
        if errand.startswith(prefix):
            found[errand] = min(found.get(errand, (place.start_ticks, pid)), (place.start_ticks, pid))
    if not found:
        return None
    start_ticks, pid = max(found.values())
    return pid, start_ticks
