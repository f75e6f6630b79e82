"""Daemon, holder and keeper on their way out: seen until they have ended, and who of them stands still is told."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, Final

from aish.client import bringup, standstill
from aish.config import folders
from aish.errors import UnavailableError
from aish.supervisor.holder import link, wire

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Self

LEAVE_S: Final = 10.0
"""How long holder and keeper may take to leave when everything else has ended."""
LOOK_S: Final = 0.5
"""They take some milliseconds; then it is looked whether one is stopped."""


class Departure:
    """To be made before they are told to go: later nobody could say who they were. A context."""

    def __init__(self, daemon: int) -> None:
        self._pids: dict[str, int] = {}
        self._fds: dict[str, int] = {}
        self._deadline_s = 0.0
        for role, pid in _pids(daemon).items():
            try:
                self._fds[role] = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            self._pids[role] = pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._fds.values():
            os.close(fd)

    def told(self, behind: Collection[int] = ()) -> list[int]:
        """They have been told to go; descriptors that become readable as each of them ends. Without those that stay
        `behind`, by their pids."""
        self._deadline_s = time.monotonic() + LEAVE_S
        return [fd for role, fd in self._fds.items() if self._pids[role] not in behind]

    def check(self) -> None:
        """One has not ended yet. Raises UnavailableError where it is stopped, or is late."""
        why = standstill.told({role: pid for role, pid in self._pids.items() if standstill.stopped(pid)})
        if why is not None:
            raise UnavailableError(f"everything was told to end, but {why}", hint="then it ends by itself")
        if time.monotonic() >= self._deadline_s:
            raise UnavailableError(
                f"everything was told to end, but holder or keeper is still there after {LEAVE_S:.0f} s",
                hint=f"their log is {bringup.log_path()}",
            )

    def wait(self, behind: Collection[int] = ()) -> None:
        """They have been told to go: until they have ended. Raises UnavailableError, as `check`."""
        for fd in self.told(behind):
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            while not poll.poll(LOOK_S * 1000):
                self.check()


def _pids(daemon: int) -> dict[str, int]:
    """By what they are. A holder that is stopped does not say who it is, but /proc does."""
    try:
        holder = link.HolderLink.connect(folders.runtime())
        try:
            told = holder.call("hello", timeout_s=bringup.ANSWER_S, version=wire.VERSION, role=wire.CLIENT).body
        finally:
            holder.close()
    except (wire.HolderError, OSError):
        return {standstill.DAEMON: daemon} | standstill.programs(daemon)
    return {standstill.DAEMON: daemon, standstill.HOLDER: told["pid"], standstill.KEEPER: told["keeper_pid"]}
