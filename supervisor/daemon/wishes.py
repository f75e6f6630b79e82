"""Stops that the journal did not take: the holder keeps them until it does, and the next daemon carries them out.

A wish is a name in the holder's store, beside a descriptor of nothing: `stop.ID.RUN.REASON.WHO`.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote

from aish.errors import DisconnectedError
from aish.supervisor.daemon import runs
from aish.supervisor.daemon.holding import Refusal
from aish.supervisor.holder import wire

if TYPE_CHECKING:
    from aish.supervisor.daemon.holding import Holding
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.recorder import Recorder
    from aish.supervisor.daemon.row import Row
    from aish.supervisor.daemon.table import Table

PREFIX: Final = "stop."
PATIENCE_S: Final = 1.0


class Wish(NamedTuple):
    id: str
    run: int
    """The number of the run that it is about."""
    reason: str
    by: str | None

    @property
    def name(self) -> str:
        name = f"{PREFIX}{self.id}.{self.run}.{self.reason}."
        by = quote(self.by or "", safe="")
        return name + by if len(name + by) <= wire.NAME_CHARS else name


def read(name: str) -> Wish | None:
    """None: that is the name of something else."""
    parts = name.removeprefix(PREFIX).split(".", 3)
    if not name.startswith(PREFIX) or len(parts) != 4 or not parts[1].isdigit():
        return None
    return Wish(parts[0], int(parts[1]), parts[2], unquote(parts[3]) or None)


class Wishes:
    """`left` are the ids of those whom a daemon before this one was stopping without having it written."""

    def __init__(self, holding: Holding, recorder: Recorder) -> None:
        self.left: set[str] = set()
        self._holding, self._recorder = holding, recorder
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def stopped(self, process: Process) -> None:
        """Somebody wants it to end: looked at behind this turn's writing."""
        self._loop.call_soon(self._look, process.row)

    def _look(self, row: Row) -> None:
        if self._recorder.failure is None or row.stop_reason is None or row.again:
            return
        if row.parking:  # that intent was written before its stop
            return
        wish = Wish(row.id, runs.number(row), row.stop_reason, row.ended_by)
        task = self._loop.create_task(self._keep(row, wish.name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def kept(self) -> None:
        """Until the holder has what this turn's stops need, or does not answer."""
        await asyncio.sleep(0)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=PATIENCE_S)

    async def _keep(self, row: Row, name: str) -> None:
        try:
            fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            try:
                await self._holding.store(name, [fd])
            finally:
                os.close(fd)
        except (OSError, Refusal, DisconnectedError):
            return  # then only this daemon knows it
        self._written(row, name)

    async def take(self, table: Table) -> None:
        """Those of the daemon before, into the rows that it could not write. Raises DisconnectedError."""
        for name in await self._holding.names():
            wish = read(name)
            if wish is None:
                continue
            process = table.get(wish.id)
            row = process.row if process is not None else None
            if row is None or row.ended or wish.run < runs.number(row):
                self._holding.drop(name)
                continue
            row.again, row.group_restart, row.group_wish = False, False, None
            row.parking, row.wake = False, None
            row.stop_reason, row.ended_by = wish.reason, wish.by
            self.left.add(row.id)
            self._written(row, name)

    def _written(self, row: Row, name: str) -> None:
        self._recorder.change(row, after=lambda: self._forget(name))

    def _forget(self, name: str) -> None:
        if self._holding.connected:
            self._holding.drop(name)
