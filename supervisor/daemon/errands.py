"""Short commands that are run for a process: probes, hooks, the check that decides success.

Each is a child of the holder with the id `ID.what.RANDOM`, in the process's folder, with its environment and its
logs; never a row of the table.

Hooks and checks are finished whoever dies, and never run beside themselves: the next daemon waits for one that goes
on, and takes the end of one that is over, which the holder keeps until what came of it is in the journal. Where
keeper and holder died it is found by its pid, which the row has; if it is over by then, nobody can tell its end, and
it is run again. What else a daemon left behind is ended by the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final

from aish.errors import AishError, DisconnectedError
from aish.model.exit import Exit
from aish.supervisor.daemon import proc, tags
from aish.supervisor.daemon.holding import Birth, Refusal
from aish.supervisor.daemon.launcher import why
from aish.supervisor.daemon.stranger import KILLED_S, Stranger, unnoted
from aish.supervisor.holder import kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from aish.supervisor.daemon.holding import Death, Holding
    from aish.supervisor.daemon.launcher import Launcher
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.vigil import Vigil

MARK: Final = "."
"""Divides the id of a process from what is done for it; no process's id has one."""
BEFORE: Final = "before"
CHECK: Final = "check"
AFTER: Final = "after"
HOOKS: Final = (BEFORE, CHECK, AFTER)
"""What must be finished, and cannot be asked twice without anybody noticing."""


class ErrandError(AishError):
    """It could not be started, or did not end in time: no answer. `str()` says which, `why` without its words."""

    def __init__(self, message: str, why: str | None = None) -> None:
        super().__init__(message if why is None else f"{message}{why}")
        self.why = message if why is None else why.removeprefix(": ").strip()


class UnaskedError(AishError):
    """Nothing was started, for want of a holder: that says nothing about the process."""


class _LostError(AishError):
    """Keeper and holder died, and nobody can tell its end any more."""


class Errands:
    """A holder that dies costs an errand nothing but time: what it was not asked to start, or what was lost together
    with the keeper, is started by the next one."""

    def __init__(self, holding: Holding, launcher: Launcher, vigil: Vigil) -> None:
        self.holding, self.launcher, self.vigil = holding, launcher, vigil
        self.pids: set[int] = set()
        """Of those that run: they have the tag of their process, and are no part of it."""
        self.wanted: Callable[[str, str], bool] = lambda id_, what: False
        """Whether a process still needs the end of its hook."""
        self.written: Callable[[Process, Callable[[], None]], None] = lambda process, after: None
        """Has the process's row written, and then makes a call."""
        self._waiting: dict[str, asyncio.Future[Exit]] = {}
        self._given_up: set[str] = set()
        """Those that were to be ended when they might not have been there yet."""
        self._births: dict[str, Birth] = {}
        self._left: dict[str, dict[str, asyncio.Future[Exit]]] = {}
        """Living ones of a daemon before, by what they are for ("p1.before") and id."""
        self._killed: set[str] = set()
        """Those of them that nobody wants to end by themselves."""
        self._ends: dict[str, dict[str, Exit]] = {}
        """Of hooks, by the same: not in the journal yet, so the holder keeps them, too."""
        self._unsure: set[str] = set()
        """For what a hook may have been started that nobody has noted."""
        self._strangers: dict[str, Stranger] = {}

    async def run(
        self,
        process: Process,
        what: str,
        argv: Sequence[bytes],
        timeout_s: float,
        told: Mapping[str, str] | None = None,
        *,
        out: int | None = None,
        patient: bool = True,
    ) -> Exit:
        """Its end. `told` are variables that it gets beside the process's own; `out` is its stdout, else its log;
        `patient`: where no holder answers it waits for one, however long. One of HOOKS that was begun before is not
        begun again; its end counts until `settled` is told.

        Raises ErrandError, UnaskedError (if not patient).
        """
        while True:
            id_ = f"{_for(process.id, what)}{MARK}{os.urandom(4).hex()}"
            try:
                end = await self._begun(process, what, timeout_s)
                if end is not None:
                    return end
                self._waiting[id_] = asyncio.get_running_loop().create_future()
                return await self._run(process, id_, argv, timeout_s, told or {}, out, patient=patient)
            except _LostError:
                if not patient:
                    raise UnaskedError("keeper and holder died meanwhile") from None
            except TimeoutError:
                raise ErrandError(_words(argv), f" did not end within {timeout_s:g} s") from None
            except UnaskedError:
                raise
            except (Refusal, AishError, OSError) as error:
                raise ErrandError(_words(argv), f": {why(error)}") from error
            except asyncio.CancelledError:
                await self._kill(id_)
                raise
            finally:
                future = self._waiting.pop(id_, None)
                if future is not None and not future.done():
                    self._killed.add(id_)
                self._given_up.discard(id_)
                self.launcher.logs.closed(process.id)
                self._forget_birth(id_)

    async def _run(
        self,
        process: Process,
        id_: str,
        argv: Sequence[bytes],
        timeout_s: float,
        told: Mapping[str, str],
        out: int | None,
        *,
        patient: bool,
    ) -> Exit:
        future = self._waiting[id_]
        while not future.done():
            start = asyncio.ensure_future(self.launcher.start_errand(process, id_, argv, told, out))
            try:
                await asyncio.wait({start}, timeout=None if patient else timeout_s)
                if not start.done():
                    raise UnaskedError("the holder does not answer")
            except (asyncio.CancelledError, UnaskedError):
                start.add_done_callback(lambda done: self._too_late(id_, done))
                raise
            try:
                self._born(process, start.result())
                break
            except DisconnectedError as error:
                if not patient:
                    raise UnaskedError(str(error)) from None
                await self.holding.reachable()  # who starts each id once, whatever the one before it did
                if id_ in self._given_up:
                    raise
        if id_ in self._given_up:
            await self._kill(id_)
        return await self._ended(id_, future, timeout_s)

    def _born(self, process: Process, birth: Birth) -> None:
        self._births[birth.id] = birth
        self.pids.add(birth.pid)
        self._note(process, _what(birth.id), birth.pid, birth.start_ticks)

    def _note(self, process: Process, what: str, pid: int, start_ticks: int | None) -> None:
        """By this the next daemon finds it, whoever its parents are by then."""
        if what in HOOKS and start_ticks is not None and process.row.hook != (what, pid, start_ticks):
            process.row.hook = (what, pid, start_ticks)
            self.written(process, _nothing)

    async def _ended(self, id_: str, future: asyncio.Future[Exit], timeout_s: float) -> Exit:
        """Raises TimeoutError when it was killed for taking too long, and is gone."""
        try:
            return await self.vigil.within(future, timeout_s)
        except TimeoutError:
            await self._kill(id_)
            await asyncio.wait({future}, timeout=KILLED_S)
            raise

    def _too_late(self, id_: str, start: asyncio.Task[Birth]) -> None:
        """It was given up while it was being started."""
        if start.cancelled() or start.exception() is not None:
            return
        asyncio.ensure_future(self._kill(id_))  # noqa: RUF006  it awaits one reply

    async def _kill(self, id_: str) -> None:
        try:
            await self.holding.signal(id_, signal.SIGKILL)
        except (Refusal, DisconnectedError):
            return  # it has just ended, or the next holder's list shows it: see `left`

    def _forget_birth(self, id_: str) -> None:
        birth = self._births.pop(id_, None)
        if birth is not None:
            self.pids.discard(birth.pid)

    def give_up(self, process: Process, what: str) -> None:
        """End those that run: who waits for one is told that it was killed."""
        key = _for(process.id, what)
        running = [id_ for id_ in self._waiting if id_.startswith(key + MARK)]
        self._given_up.update(running)
        for id_ in [*running, *self._left.get(key, ())]:
            asyncio.ensure_future(self._kill(id_))  # noqa: RUF006  it awaits one reply
        stranger = self._strangers.get(key)
        if stranger is not None:
            stranger.kill()

    def leader(self, pid: int, start_ticks: int) -> str | None:
        """The process for which this very pid runs an errand."""
        for id_, birth in self._births.items():
            if (birth.pid, birth.start_ticks) == (pid, start_ticks):
                return id_.partition(MARK)[0]
        return None

    # --- ends, and who keeps them -------------------------------------------------------------------------------

    def died(self, death: Death) -> None:
        """An exit of the holder's that is an errand's. One that nobody has to write down is acknowledged at once."""
        id_, what = death.id, _what(death.id)
        key = id_.rpartition(MARK)[0]
        if id_ in self._ends.get(key, ()):
            return  # told again
        end = Exit.from_wait_status(death.status)
        future = self._waiting.get(id_) or self._left.get(key, {}).get(id_)
        if future is not None and not future.done():
            future.set_result(end)
        kept = what in HOOKS and id_ not in self._killed
        if kept and (future is not None or self.wanted(id_.partition(MARK)[0], what)):
            self._ends.setdefault(key, {})[id_] = end
            return
        self._killed.discard(id_)
        self.holding.ack([id_])

    def settled(self, process: Process, what: str) -> None:
        """What came of a hook is in the process's row: once that is written, its end may be forgotten."""
        ids = list(self._ends.pop(_for(process.id, what), ()))
        noted = process.row.hook is not None and process.row.hook[0] == what
        if noted:
            process.row.hook = None
        if noted or ids:
            self.written(process, lambda: self.holding.ack(ids))

    # --- what others have begun ---------------------------------------------------------------------------------

    def left(self, birth: Birth) -> None:
        """A living one in the list of a new holder, or of a new daemon: a hook is waited for, others are ended."""
        key, id_ = birth.id.rpartition(MARK)[0], birth.id
        if id_ in self._waiting or id_ in self._left.get(key, ()):
            return
        self._left.setdefault(key, {})[id_] = asyncio.get_running_loop().create_future()
        self._births[id_] = birth
        self.pids.add(birth.pid)
        if _what(id_) not in HOOKS or not self.wanted(id_.partition(MARK)[0], _what(id_)):
            self._killed.add(id_)
            asyncio.ensure_future(self._kill(id_))  # noqa: RUF006  it awaits one reply

    def look_for(self, processes: Collection[Process]) -> None:
        """Keeper and holder died before we began, and what they had started last may not have been noted."""
        for process in processes:
            for what in HOOKS:
                noted = process.row.hook is not None and process.row.hook[0] == what
                if self.wanted(process.id, what) and not noted:
                    self._unsure.add(_for(process.id, what))

    def lost(self, held: Collection[str]) -> None:
        """Keeper and holder died. Of our errands that the new ones do not know nobody tells us the end: hooks go on
        and are watched, others are ended; what nobody can tell is run again."""
        for id_, birth in list(self._births.items()):
            future = self._waiting.get(id_) or self._left.get(id_.rpartition(MARK)[0], {}).get(id_)
            if id_ in held or future is None or future.done():
                continue
            place = proc.stat(birth.pid)
            same = place is not None and place.start_ticks == birth.start_ticks
            if same and _what(id_) not in HOOKS:
                with contextlib.suppress(OSError):
                    os.killpg(birth.pid, signal.SIGKILL)  # it leads a session of its own
            future.set_exception(_LostError("keeper and holder died with it"))

    async def _begun(self, process: Process, what: str, timeout_s: float) -> Exit | None:
        """The end of one that was begun before, by whomever; None: there is none, or nobody can tell its end. When
        this is over none goes on. Raises TimeoutError."""
        key = _for(process.id, what)
        for end in self._ends.get(key, {}).values():
            return end
        while left := self._left.get(key):
            id_, future = next(iter(left.items()))
            try:
                if id_ not in self._killed:
                    self._note(process, what, self._births[id_].pid, self._births[id_].start_ticks)
                    return await self._ended(id_, future, timeout_s)
                await asyncio.wait({future}, timeout=KILLED_S)
            except asyncio.CancelledError:
                await self._kill(id_)
                raise
            finally:
                left.pop(id_, None)
                if not left:
                    self._left.pop(key, None)
                self._forget_birth(id_)
        if what not in HOOKS:
            return None
        noted = process.row.hook
        place = noted[1:] if noted is not None and noted[0] == what else None
        if key in self._unsure:
            self._unsure.discard(key)
            place = place or unnoted(self.launcher.added(process.row)[tags.VARIABLE], key + MARK)
        if place is None:
            return None
        self._note(process, what, *place)
        return await self._stranger_end(key, *place, timeout_s)

    async def _stranger_end(self, key: str, pid: int, start_ticks: int, timeout_s: float) -> Exit | None:
        """Of one whose parents died: it is nobody's here any more. Raises TimeoutError."""
        fd = kernel.pidfd_of(pid, start_ticks)
        if fd is None:
            return None
        stranger = self._strangers[key] = Stranger(fd, pid, start_ticks)
        try:
            await self.vigil.within(stranger.gone, timeout_s)
            return await stranger.end()
        except TimeoutError:
            stranger.kill()
            await asyncio.wait({stranger.gone}, timeout=KILLED_S)
            raise
        except asyncio.CancelledError:
            if self.holding.connected:  # else it is we who leave
                stranger.kill()
            raise
        finally:
            del self._strangers[key]
            stranger.close()


def _for(id_: str, what: str) -> str:
    return f"{id_}{MARK}{what}"


def _what(id_: str) -> str:
    """What an errand is for, by its id."""
    return id_.split(MARK)[1]


def _nothing() -> None:
    """After a row is written there is nothing to do."""


def _words(argv: Sequence[bytes]) -> str:
    text = b" ".join(argv).decode(errors="backslashreplace")
    return text if len(text) <= 60 else text[:57] + "…"
