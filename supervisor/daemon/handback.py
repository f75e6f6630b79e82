"""`aish off`: everything is handed back and nothing is killed. What runs lives on as an ordinary process.

What has not started does not start; the gateway, which is ours, ends. A paused process stays stopped by SIGSTOP, so
that `kill -CONT` lets it go on; it leaves its freezer. Control groups stay with what is in them. The rows say
"handed-back", so that no later daemon adopts, signals or sweeps what it did not start.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

from aish.config import folders
from aish.errors import ConflictError, DisconnectedError, StorageError, UnavailableError
from aish.model import kind
from aish.supervisor.daemon import authority, lock, machine, proc, stopping
from aish.supervisor.daemon.errands import MARK
from aish.supervisor.daemon.holding import Refusal
from aish.wire.message import Off
from aish.wire.part import HandedPart
from aish.wire.reply import HandedBack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.connection import Connection
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row

NOTED: Final = "handed-back"
OFF: Final = "`aish off`"
START_S: Final = 10.0
"""How long one that is just being started may take to run, or to fail."""
LOOK_S: Final = 0.02
LOOKS_MOST: Final = 100


class Handback:
    """`noted` are the ids that daemons before have handed back, as the journal has them."""

    def __init__(self, daemon: Daemon, noted: str | None, rows: Iterable[Row]) -> None:
        self.daemon = daemon
        self._noted = set((noted or "").split()) | {row.id for row in rows if row.handed_back}
        self._interrupted = False
        self._task: asyncio.Task[list[HandedPart]] | None = None

    def lives(self, process: Process) -> bool:
        """Whether it was handed back, and something of it may live on under its id: it is not to be started again."""
        row = process.row
        if process.id not in self._noted:
            return False
        place = proc.stat(row.pid) if row.pid is not None and row.boot_id == self.daemon.boot_id else None
        same = place is not None and place.start_ticks == row.start_ticks
        return same or bool(self.daemon.reach.groups.members(process.id))

    def groups(self) -> set[str]:
        """The ids whose control groups are not ours any more; empty ones are given back."""
        groups = self.daemon.reach.groups
        return {id_ for id_ in self._noted & groups.ids() if not groups.remove(id_)}

    async def off(self, caller: Caller, request: Off, connection: Connection) -> None:
        """Raises ConflictError, StorageError, UnavailableError; then what runs is supervised as before."""
        daemon = self.daemon
        authority.check(daemon.table, caller, type(request).__name__)
        if daemon.ending.begun:
            raise ConflictError("it is shutting down already")
        if daemon.holding.build is None:
            raise ConflictError(
                "keeper and holder are of a release that cannot leave without ending everything",
                hint="`aish doctor` says why they were not upgraded",
            )
        daemon.ending.begun = True
        try:
            await self._stand_still()
            ended = await self._settle()
            living = self._let_go()
        except BaseException:
            daemon.ending.stay()
            raise
        ended += await self._end_ours()
        behind = await self._leave_holder()
        connection.send(HandedBack(living=living, ended=ended, behind=behind))
        try:
            await connection.flushed(1.0)
        finally:
            self._leave()

    def held(self, ids: Iterable[str]) -> None:
        """What the holder holds. An id that was handed back: the daemon that did so died before the holder left."""
        self._interrupted = not self._noted.isdisjoint(ids)

    def go_on(self) -> None:
        """At the end of a take-over: do the rest of an `off` that was interrupted."""
        if self._interrupted and self._task is None:
            self.daemon.ending.begun = True
            self._task = asyncio.ensure_future(self._finish())

    async def _finish(self) -> list[HandedPart]:
        try:
            ended = await self._end_ours()
            await self._leave_holder()
        except (UnavailableError, DisconnectedError) as error:
            self.daemon.recorder.event("fault", text=str(error))
            self.daemon.left.set()
            return []
        self._leave()
        return ended

    def _leave(self) -> None:
        daemon = self.daemon
        if daemon.server is not None:
            daemon.server.stop_accepting(folders.daemon_socket())
        lock.clear(daemon.state_folder)
        daemon.recorder.close()
        daemon.reach.groups.close()
        daemon.left.set()

    async def _settle(self) -> list[HandedPart]:
        """Until everything that is supervised runs or has ended."""
        ending = self.daemon.ending
        ended: list[HandedPart] = []
        while waiting := [process for process in ending.supervised() if not _runs(process)]:
            for process in waiting:
                process.row.again = False
                await self._decided(process)
                if process.row.ended:
                    ended.append(self._part(process))
        return ended

    async def _decided(self, process: Process) -> None:
        row, conductor = process.row, self.daemon.conductor
        match row.lifecycle:
            case "scheduled" | "queued" | "backoff":
                conductor.stop(process, None, by=OFF)
            case "starting":
                try:
                    async with asyncio.timeout(START_S):
                        while row.lifecycle == "starting":
                            await process.change()
                except TimeoutError:
                    raise UnavailableError(
                        f"{row.name} ({row.id}) is still being started",
                        hint=f"try again, or stop it first: `aish stop {row.id}`",
                    ) from None
            case "running":  # it has ended, and its check is at work
                conductor.stop(process, None, by=OFF)
            case "stopping":
                await stopping.gone(process, conductor.holding.silence)
            case "exited" | "failed" | "lost":
                pass

    async def _stand_still(self) -> None:
        for process in [process for process in self.daemon.ending.supervised() if process.row.spec.argv]:
            if machine.freezes(frozenset(process.row.holds)):
                await self._stop_only(process)

    def _let_go(self) -> list[HandedPart]:
        """From here on it is not ours: the journal says so before anything else is done. Raises StorageError.

        Without a wait since everything ran or had ended: in one, something could end and be wanted again."""
        daemon = self.daemon
        running = [process for process in daemon.ending.supervised() if _runs(process)]
        parts = [self._part(process) for process in running]
        self._noted |= {process.id for process in running}
        daemon.recorder.note(NOTED, " ".join(sorted(self._noted)))
        for process in running:
            daemon.conductor.hand_back(process)
        daemon.recorder.event("off", text=f"{len(running)} processes were handed back; the supervisor leaves")
        if not daemon.recorder.flush():
            daemon.left.set()  # the next daemon reads the journal, in which nothing has changed, and goes on
            raise StorageError(
                f"the process table cannot be written: {daemon.recorder.failure}",
                hint="a later supervisor would take everything for its own: nothing is handed back",
            )
        return [part for part in parts if part.pid is not None]

    async def _stop_only(self, process: Process) -> None:
        """Paused by SIGSTOP alone, of which every tool knows: out of the freezer, which only its owner could open."""
        conductor, row = self.daemon.conductor, process.row
        await conductor.sending.done()
        await conductor.sending.signal(process, signal.SIGSTOP)
        conductor.reach.signal_rest(row, signal.SIGSTOP)
        conductor.reach.freeze(row, False)

    def _part(self, process: Process) -> HandedPart:
        row = process.row
        used = row.tokens is not None and row.tokens.requests > 0
        return HandedPart(
            id=row.id,
            name=row.name,
            kind=row.spec.kind,
            pid=row.pid if row.spec.argv else None,
            paused=machine.freezes(frozenset(row.holds)),
            terminal=row.spec.pty,
            grouped=bool(self.daemon.reach.groups.members(row.id)),
            gateway=row.spec.kind == kind.AGENT or (used and row.spec.kind != kind.MODEL),
        )

    async def _end_ours(self) -> list[HandedPart]:
        """The gateway, probes and hooks: they are for us, so they end with us."""
        daemon = self.daemon
        ended: list[HandedPart] = []
        gateway = daemon.gateway.process
        if gateway is not None and not gateway.row.ended:
            ended.append(self._part(gateway))
            daemon.conductor.stop(gateway, None, by=OFF)
            await stopping.gone(gateway, daemon.holding.silence)
        await self._end_errands()
        await daemon.conductor.remains.done()
        await daemon.launcher.sockets.done()
        await daemon.launcher.fdstore.done()
        return ended

    async def _end_errands(self) -> None:
        holding = self.daemon.holding
        for _ in range(LOOKS_MOST):
            births, _ = await holding.listing()
            errands = [birth.id for birth in births if MARK in birth.id]
            if not errands:
                return
            for id_ in errands:
                try:
                    await holding.signal(id_, signal.SIGKILL)
                except Refusal:
                    continue  # it has just ended
            await asyncio.sleep(LOOK_S)  # their ends are pushed; what counts is that the list is empty

    async def _leave_holder(self) -> list[int]:
        """Who stays for the terminals. Raises UnavailableError; the next daemon tries again: see `held`."""
        holding = self.daemon.holding
        why = "it does not come to rest"
        for _ in range(LOOKS_MOST):
            try:
                behind = await holding.leave()
            except DisconnectedError:
                why = "it died"
                break
            except Refusal as refusal:
                why = refusal.message
                if refusal.code != "busy":
                    break
                await asyncio.sleep(LOOK_S)
            else:
                return [holding.keeper_pid, holding.pid] if behind else []
        self.daemon.left.set()
        raise UnavailableError(
            f"everything is handed back, but the holder has not left: {why}", hint="it is told again in a moment"
        )


def _runs(process: Process) -> bool:
    return process.row.lifecycle == "running" and not process.row.checking
