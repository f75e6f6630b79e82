"""Attach: being at the terminal of a process, over its runs, until it ends or the client leaves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from aish.errors import ConflictError, DisconnectedError
from aish.supervisor.daemon.launcher import pty_name
from aish.wire.message import Attach, Wait
from aish.wire.reply import Attached

if TYPE_CHECKING:
    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.connection import Connection
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.looking import Looking
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.seats import Seat, Seats

TERMINAL_CHARACTERS: Final = 64


class Attaching:
    """The lease to write ends with the connection, so that no client's death can leave it with a dead one."""

    def __init__(self, daemon: Daemon, looking: Looking, seats: Seats) -> None:
        self.daemon, self.looking, self.seats = daemon, looking, seats

    async def attach(self, caller: Caller, request: Attach, connection: Connection) -> None:
        """Raises NotFoundError, RefusedError, ConflictError (it has no terminal, or is the caller's own)."""
        process = self.looking.target(caller, "Attach", request.target)
        self._check(caller, process)
        where = f"pid {connection.pid}"
        if request.terminal:
            where += f" at {request.terminal[:TERMINAL_CHARACTERS]}"
        seat = self.seats.sit(process.id, where, write=request.write, take=request.take)
        process.changed()  # for who has lost the lease
        try:
            await self._accompany(process, seat, connection)
        finally:
            self.seats.leave(process.id, seat)
        connection.send(await self.looking.wait(caller, Wait(target=process.id)))

    def _check(self, caller: Caller, process: Process) -> None:
        row = process.row
        if not row.spec.pty:
            raise ConflictError(
                f"{row.name} ({row.id}) has no terminal",
                hint=f"`aish logs -f {row.id}` shows its output; `aish spawn --pty` starts with a terminal",
            )
        if caller.id is not None and (caller.id == row.id or row.id in self.daemon.table.ancestors(caller.id)):
            raise ConflictError(
                f"{row.name} ({row.id}) is what this terminal belongs to: it would show itself in itself",
                hint="attach from another terminal",
            )

    async def _accompany(self, process: Process, seat: Seat, connection: Connection) -> None:
        """Tell each run's terminal, and that the lease was lost, until the process has ended."""
        row = process.row
        told: tuple[object, ...] | None = None
        while not row.ended:
            news = (row.pid, row.start_ticks, seat.writer)
            if row.pid is None or news == told:
                await process.change()
                continue
            try:
                fds = await self._master(process) if seat.writer else []
            except DisconnectedError:
                await self.daemon.holding.reachable()
                continue  # the next holder has it from the keeper
            if news != (row.pid, row.start_ticks, seat.writer):
                _close(fds)
                continue
            writer = self.seats.writer(row.id)
            lease = None if writer is None else writer.where
            connection.send(Attached(id=row.id, name=row.name, writer=seat.writer, lease=lease), fds)
            await connection.flushed()
            told = news

    async def _master(self, process: Process) -> list[int]:
        """Raises ConflictError where it is gone: keeper and holder have both been killed; UnavailableError where the
        holder is silent."""
        holding = self.daemon.holding
        fds = await holding.silence.bounded(holding.fetch(pty_name(process.id)))
        if not fds and not process.row.ended:
            raise ConflictError(
                f"the terminal of {process.row.name} ({process.id}) is gone", hint="its log is kept: `aish logs`"
            )
        return fds


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
