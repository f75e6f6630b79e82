"""`aish off`: everything is handed back and nothing is killed. What runs lives on as an ordinary process.

What has not started does not start; the gateway, which is ours, ends. A paused process stays stopped by SIGSTOP, so
that `kill -CONT` lets it go on; it leaves its freezer. Control groups stay with what is in them.

Each mark is kept with what it is about. That a run was handed back its row says, so that no later daemon adopts,
signals or sweeps what it did not start; of a new run, supervised like any other, it says nothing of the kind. Of rows
that were forgotten the journal keeps the ids: their control groups are not ours. That the supervisor is to go is kept
with its estate (the keeper and holder that it is about): another daemon of the same ones does the rest.
"""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Final

from msgspec import structs

from aish.config import folders
from aish.errors import ConflictError, DisconnectedError, StorageError, UnavailableError
from aish.model import exit as exits
from aish.model import kind, state
from aish.supervisor.daemon import authority, lock, proc, stopping, tags
from aish.supervisor.daemon.errands import MARK
from aish.supervisor.daemon.holding import Refusal
from aish.supervisor.daemon.row import ALIVE
from aish.supervisor.daemon.silence import TURN_S
from aish.wire.message import Off
from aish.wire.part import ExitPart, HandedPart
from aish.wire.reply import HandedBack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.connection import Connection
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.holding import Birth
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row

NOTED: Final = "handed-back"
LEAVING: Final = "off"
OFF: Final = "`aish off`"
NOTHING: Final = "nothing is handed back yet: then try again"
START_S: Final = 10.0
"""How long one that is just being started may take to run, or to fail."""
LOOK_S: Final = 0.02
LOOKS_MOST: Final = 100


class Handback:
    """`forgotten` are the ids of forgotten rows that were handed back, `leaving` is the estate that is to go: both as
    the journal has them."""

    def __init__(self, daemon: Daemon, forgotten: str | None, leaving: str | None) -> None:
        self.daemon = daemon
        self._forgotten = _of_this_boot(forgotten or "", daemon.boot_id)
        self._leaving = leaving
        self._interrupted = False
        self._alone = asyncio.Event()
        """Keeper and holder died before they had left."""
        self._task: asyncio.Task[tuple[list[HandedPart], list[int]]] | None = None

    def left(self, process: Process) -> list[int]:
        """Pids of what lives on of a run that was handed back: beside that it is not to be started again."""
        row, reach = process.row, self.daemon.reach
        if not row.handed_back:
            return []
        tag = reach.tag(row)
        found = set(reach.groups.members(row.id) or ())
        found |= {pid for pid in tags.everybody() if tags.tag_of(pid) == tag and not proc.ended(pid)}
        place = proc.stat(row.pid) if row.pid is not None and row.boot_id == self.daemon.boot_id else None
        if row.pid is not None and place is not None and place.start_ticks == row.start_ticks:
            found |= set() if proc.ended(row.pid) else {row.pid}
        return sorted(found)

    def groups(self) -> set[str]:
        """The ids whose control groups are not ours any more; empty ones are given back."""
        groups = self.daemon.reach.groups
        return {id_ for id_ in groups.ids() if self._given(id_) and not groups.remove(id_)}

    def _given(self, id_: str) -> bool:
        process = self.daemon.table.get(id_)
        return id_ in self._forgotten if process is None else process.row.handed_back

    def taken_again(self, process: Process) -> None:
        """It is about to be started once more. Raises StorageError; then nothing is another."""
        if process.row.handed_back:
            self.daemon.survivors.remove(process.id)

    def leave_alone(self) -> None:
        """The table was lost: what is in a group that nobody in the new one has is not for the next daemon to end."""
        before = set(self._forgotten)
        groups, table = self.daemon.reach.groups, self.daemon.table
        self._forgotten |= {id_ for id_ in groups.ids() if table.get(id_) is None and not groups.remove(id_)}
        self._note(before)

    def forget(self, processes: Iterable[Process]) -> None:
        """They are about to leave the table."""
        before = set(self._forgotten)
        for process in processes:
            (self._forgotten.add if process.row.handed_back else self._forgotten.discard)(process.id)
        self._note(before)

    def _note(self, before: set[str]) -> None:
        if self._forgotten != before:
            words = [f"{_BOOT}{self.daemon.boot_id}", *sorted(self._forgotten)]
            self.daemon.recorder.note(NOTED, " ".join(words))

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
            ended = await self._settled()
            living = self._let_go()
        except BaseException:
            daemon.ending.stay()
            raise
        self._task = asyncio.ensure_future(self._rest())
        while not (await asyncio.wait({self._task}, timeout=TURN_S))[0]:
            silent = daemon.holding.silence.why()
            if silent is not None:  # it is done when that goes on, whoever waits for it
                self._task.add_done_callback(self._done)
                raise _unfinished(silent)
        try:
            more, behind = self._task.result()
        except (UnavailableError, DisconnectedError):
            daemon.left.set()  # the next one does the rest: see `held`
            raise
        connection.send(HandedBack(living=living, ended=ended + more, behind=behind))
        try:
            await connection.flushed(1.0)
        finally:
            self._leave()

    def held(self, births: Mapping[str, Birth]) -> None:
        """What the holder holds. A daemon before, which told it to go, died before it did: this one goes on.

        A release that did not note the estate is known by what it had handed back and this holder still has."""
        leaving = self._leaving == self.daemon.holding.estate
        self._interrupted = leaving or any(self._handed(birth) for birth in births.values())

    def _handed(self, birth: Birth) -> bool:
        process = self.daemon.table.get(birth.id)
        row = process.row if process is not None else None
        return row is not None and row.handed_back and (row.pid, row.start_ticks) == (birth.pid, birth.start_ticks)

    def go_on(self) -> None:
        """At the end of a take-over: do the rest of an `off` that was interrupted."""
        if self._interrupted and self._task is None:
            self.daemon.ending.begun = True
            self.daemon.recorder.event("off", text="the daemon died during `aish off`: the next one does the rest")
            self._task = asyncio.ensure_future(self._rest())
            self._task.add_done_callback(self._done)

    async def parents_lost(self) -> bool:
        """Keeper and holder have both died. False: nobody had told them to go, and they are started again."""
        if self._leaving != self.daemon.holding.estate:
            return False
        self._alone.set()
        for child in (self.daemon.gateway, self.daemon.egress):
            process = child.process
            await child.end_orphan()
            if process is not None and not process.row.ended:
                self.daemon.conductor.vanished(process, "keeper and holder died during `aish off`")
        return True

    async def _rest(self) -> tuple[list[HandedPart], list[int]]:
        """What is ours goes. What has ended, and who stays for terminals.

        Raises UnavailableError, DisconnectedError."""
        await self._answered()
        ended = await self._end_ours()
        return ended, await self._leave_holder()

    async def _answered(self) -> None:
        """Until the holder answers, however late it is let go on; or has died with its keeper."""
        waiting = {asyncio.ensure_future(each) for each in (self._ask(), self._alone.wait())}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def _ask(self) -> None:
        holding = self.daemon.holding
        while True:
            await holding.reachable()
            try:
                await holding.request("ack", ids=[])
                return
            except DisconnectedError:
                continue  # the next one is asked

    def _done(self, task: asyncio.Task[tuple[list[HandedPart], list[int]]]) -> None:
        """Nobody waits for it any more."""
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._leave()
            return
        self.daemon.recorder.event("fault", text=str(error))
        self.daemon.left.set()

    def _leave(self) -> None:
        daemon = self.daemon
        if daemon.server is not None:
            daemon.server.stop_accepting(folders.daemon_socket())
        lock.clear(daemon.state_folder)
        daemon.recorder.close()
        daemon.reach.groups.close()
        daemon.left.set()

    async def _settled(self) -> list[HandedPart]:
        """Until everything that is supervised runs or has ended; what has. It takes the holder, where something is
        paused, begins or ends. Raises UnavailableError."""
        bounded = self.daemon.holding.silence.bounded
        await bounded(self._stand_still(), by_keeper=True, hint=NOTHING)
        ended: list[HandedPart] = []
        while waiting := [process for process in self.daemon.ending.supervised() if not _runs(process)]:
            await bounded(self._decide(waiting, ended), by_keeper=True, hint=NOTHING)
        return ended

    async def _decide(self, waiting: list[Process], ended: list[HandedPart]) -> None:
        for process in waiting:
            process.row.again = False
            await self._decided(process)
            if process.row.ended:
                ended.append(self._part(process))

    async def _decided(self, process: Process) -> None:
        row, conductor = process.row, self.daemon.conductor
        match row.lifecycle:
            case "scheduled" | "queued" | "backoff" | "parked":
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
            if process.row.stands_still:
                await self._stop_only(process)

    def _let_go(self) -> list[HandedPart]:
        """From here on it is not ours: the journal says so before anything else is done. Raises StorageError; then
        nothing is another.

        Without a wait since everything ran or had ended: in one, something could end and be wanted again."""
        daemon = self.daemon
        running = [process for process in daemon.ending.supervised() if _runs(process)]
        parts = [self._part(process) for process in running]
        try:
            daemon.survivors.add(process.id for process in running)
            daemon.recorder.promise_all(
                [handed_back(process.row) for process in running],
                {LEAVING: daemon.holding.estate},
                "off",
                f"{len(running)} processes were handed back; the supervisor leaves",
            )
        except StorageError as error:
            raise StorageError(
                f"the process table cannot be written: {error}",
                hint="a later supervisor would take everything for its own: nothing is handed back",
            ) from error
        self._leaving = daemon.holding.estate
        for process in running:
            daemon.conductor.hand_back(process)
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
            paused=row.stands_still,
            terminal=row.spec.pty,
            grouped=bool(self.daemon.reach.groups.members(row.id)),
            gateway=row.spec.kind == kind.AGENT or (used and row.spec.kind != kind.MODEL),
        )

    async def _end_ours(self) -> list[HandedPart]:
        """The gateway, the proxy, probes and hooks: they are for us, so they end with us."""
        daemon = self.daemon
        ended: list[HandedPart] = []
        for process in (daemon.gateway.process, daemon.egress.process):
            if process is not None and not process.row.ended:
                ended.append(self._part(process))
                daemon.conductor.stop(process, None, by=OFF)
                await stopping.gone(process, daemon.holding.silence)
        if not self._alone.is_set():
            await self._end_errands()
        await daemon.conductor.remains.done()
        await daemon.launcher.sockets.done()
        await daemon.launcher.fdstore.done()
        return ended

    async def _end_errands(self) -> None:
        holding = self.daemon.holding
        for _ in range(LOOKS_MOST):
            births, _ = await holding.silence.bounded(holding.listing())
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
        for _ in range(0 if self._alone.is_set() else LOOKS_MOST):
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
        if self._alone.is_set():
            return []
        raise _unfinished(why)


def handed_back(row: Row) -> Row:
    """The row of what lives on, and is nobody's here any more. Pure but for the time."""
    end = ExitPart(reason=exits.HANDED_BACK)
    return structs.replace(row, lifecycle=state.LOST, reason=ALIVE, exit=end, ended_s=time.time())


def _unfinished(why: str) -> UnavailableError:
    return UnavailableError(
        f"everything is handed back, but the holder has not left: {why}", hint="it is told again by itself"
    )


def _runs(process: Process) -> bool:
    return process.row.lifecycle == "running" and not process.row.checking


_BOOT: Final = "boot:"


def _of_this_boot(noted: str, boot_id: str) -> set[str]:
    """The ids in what the journal has. Nothing outlives a boot; a release that did not note it is taken for this one.
    Pure."""
    words = noted.split()
    boots = [word.removeprefix(_BOOT) for word in words if word.startswith(_BOOT)]
    return set() if boots and boots != [boot_id] else {word for word in words if not word.startswith(_BOOT)}
