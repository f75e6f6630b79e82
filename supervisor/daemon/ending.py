"""The end: `Shutdown` in stop order, and leaving when nobody needs us."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from aish.config import folders
from aish.errors import ConflictError, UnavailableError
from aish.model import kind
from aish.supervisor.daemon import authority, lock, stopping
from aish.wire.message import Shutdown
from aish.wire.reply import Done

if TYPE_CHECKING:
    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.connection import Connection
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.process import Process

IDLE_S: Final = 300.0
SHUTDOWN: Final = "the supervisor's shutdown"


def _idle_s(text: str) -> float:
    """As the environment says (for tests); what is no number of seconds is not taken."""
    try:
        return max(0.01, float(text))
    except ValueError:
        return IDLE_S


class Ending:
    """`left` ends the daemon's main loop."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.begun = False
        self.idle_s = _idle_s(os.environ.get("AISH_IDLE_S", ""))
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def shutdown(self, caller: Caller, request: Shutdown, connection: Connection) -> None:
        """Raises ConflictError while something runs and it is not forced; UnavailableError if something stays."""
        authority.check(self.daemon.table, caller, "Shutdown")
        running = self.supervised()
        if running and not request.force:
            names = ", ".join(process.row.name for process in running[:5])
            more = f" and {len(running) - 5} more" if len(running) > 5 else ""
            raise ConflictError(
                f"still supervised: {names}{more}", hint="stop them first; `aish shutdown` alone ends them"
            )
        if self.begun:
            raise ConflictError("it is shutting down already")
        self.begun = True
        try:
            await self._stop_all()
        except BaseException:
            self.begun = False
            raise
        connection.send(Done())
        try:
            await connection.flushed(1.0)
        finally:
            await self._leave()

    def supervised(self) -> list[Process]:
        """What lives of what people have started."""
        return [process for process in self.daemon.table.alive() if process.row.spec.kind != kind.SYSTEM]

    async def _stop_all(self) -> None:
        conductor = self.daemon.conductor
        await self.daemon.holding.answers()  # else nothing ends, and nobody would say why
        await stopping.stop_all(conductor, self.supervised(), by=SHUTDOWN)
        await stopping.stop_all(conductor, self.daemon.table.alive(), by=SHUTDOWN)  # parts of aish
        await conductor.remains.done()
        await self.daemon.launcher.sockets.done()

    async def _leave(self) -> None:
        """Everything has ended: the journal is closed, keeper and holder go, then this program.

        Connections end with this process, so that who waits for their end waits for ours.
        """
        daemon = self.daemon
        daemon.recorder.event("left", text="everything has ended")
        daemon.recorder.flush()
        await asyncio.sleep(0)  # acknowledgements go out in the turn after the write
        if daemon.server is not None:
            daemon.server.stop_accepting(folders.daemon_socket())
        lock.clear(daemon.state_folder)
        daemon.recorder.close()
        daemon.reach.groups.close()
        await daemon.holding.quit(force=True)  # also where the disk refuses: a person wants the end
        daemon.left.set()

    # --- nobody needs us ----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Arm or disarm the timer. Called when a process ends or begins, a client comes or goes."""
        if self.daemon.server is None:
            return  # still taking over
        if not self._idle():
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.idle_s, self._elapsed)

    def _idle(self) -> bool:
        return not self.begun and self._unneeded()

    def _unneeded(self) -> bool:
        daemon = self.daemon
        connections = daemon.server.connections if daemon.server is not None else ()
        clients = sum(1 for connection in connections if connection not in daemon.own_connections)
        unwritten = daemon.recorder.failure is not None  # the holder still keeps exits for us
        return not unwritten and clients == 0 and not self.supervised()

    def _elapsed(self) -> None:
        self._timer = None
        if self._idle():
            self.begun = True
            self._task = asyncio.ensure_future(self._go())

    async def _go(self) -> None:
        """Leave, unless somebody comes while the gateway ends: he waits for that (`decided`) and finds us staying."""
        try:
            await self._stop_all()
        except UnavailableError as error:
            self.daemon.recorder.event("fault", text=str(error))
            self.stay()
            return
        if not self._unneeded():
            self.stay()
            return
        if self.daemon.server is not None:  # in the turn of that look: nobody is accepted in between
            self.daemon.server.stop_accepting(folders.daemon_socket())
        await self._leave()

    def stay(self) -> None:
        """The end was begun, and is not to be."""
        self.begun = False
        self.daemon.gateway.watch()
        self.daemon.egress.watch()
        self.check()

    async def decided(self) -> None:
        """Until it is known whether we stay: before a client is greeted, so that none is told that we are leaving."""
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task})
