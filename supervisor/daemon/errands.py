"""Short commands that are run for a process: probes, hooks, the check that decides success.

Each is a child of the holder with the id `ID.what.RANDOM`, in the process's folder, with its environment and its
logs; never a row of the table. One that a daemon left behind is killed by the next, which does again what it was for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final

from aish.errors import AishError, DisconnectedError
from aish.model.exit import Exit
from aish.supervisor.daemon import proc
from aish.supervisor.daemon.holding import Refusal
from aish.supervisor.daemon.launcher import why

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from aish.supervisor.daemon.holding import Birth, Death, Holding
    from aish.supervisor.daemon.launcher import Launcher
    from aish.supervisor.daemon.process import Process

MARK: Final = "."
"""Divides the id of a process from what is done for it; no process's id has one."""


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

    def __init__(self, holding: Holding, launcher: Launcher) -> None:
        self.holding, self.launcher = holding, launcher
        self._waiting: dict[str, asyncio.Future[Exit]] = {}
        self._given_up: set[str] = set()
        """Those that were to be ended when they might not have been there yet."""
        self._births: dict[str, Birth] = {}

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
        `patient`: where no holder answers it waits for one, however long.

        Raises ErrandError, UnaskedError (if not patient).
        """
        while True:
            id_ = f"{process.id}{MARK}{what}{MARK}{os.urandom(4).hex()}"
            self._waiting[id_] = asyncio.get_running_loop().create_future()
            try:
                return await self._run(process, id_, argv, timeout_s, told or {}, out, patient=patient)
            except _LostError:
                if not patient:
                    raise UnaskedError("keeper and holder died meanwhile") from None
            except TimeoutError:
                await self._kill(id_)
                raise ErrandError(_words(argv), f" did not end within {timeout_s:g} s") from None
            except UnaskedError:
                raise
            except (Refusal, AishError, OSError) as error:
                raise ErrandError(_words(argv), f": {why(error)}") from error
            except asyncio.CancelledError:
                await self._kill(id_)
                raise
            finally:
                del self._waiting[id_]
                self._given_up.discard(id_)
                self.launcher.logs.closed(process.id)
                self._births.pop(id_, None)

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
                self._births[id_] = start.result()
                break
            except DisconnectedError as error:
                if not patient:
                    raise UnaskedError(str(error)) from None
                await self.holding.reachable()  # who starts each id once, whatever the one before it did
                if id_ in self._given_up:
                    raise
        if id_ in self._given_up:
            await self._kill(id_)
        async with asyncio.timeout(timeout_s):
            return await future

    def _too_late(self, id_: str, start: asyncio.Task[Birth]) -> None:
        """It was given up while it was being started."""
        if start.cancelled() or start.exception() is not None:
            return
        asyncio.ensure_future(self._kill(id_))  # noqa: RUF006  it awaits one reply

    def lost(self, held: Collection[str]) -> None:
        """Keeper and holder died. Those of our errands that the new ones do not know are ended, and run again."""
        for id_, birth in self._births.items():
            future = self._waiting[id_]
            if id_ in held or future.done():
                continue
            place = proc.stat(birth.pid)
            if place is not None and place.start_ticks == birth.start_ticks:
                with contextlib.suppress(OSError):
                    os.killpg(birth.pid, signal.SIGKILL)  # it leads a session of its own
            future.set_exception(_LostError("keeper and holder died with it"))

    async def _kill(self, id_: str) -> None:
        try:
            await self.holding.signal(id_, signal.SIGKILL)
        except (Refusal, DisconnectedError):
            return  # it has just ended, or the next holder's list shows it: see `left`

    def give_up(self, process: Process, what: str) -> None:
        """End those that run: who waits for one is told that it was killed."""
        for id_ in self._waiting:
            if id_.startswith(f"{process.id}{MARK}{what}{MARK}"):
                self._given_up.add(id_)
                asyncio.ensure_future(self._kill(id_))  # noqa: RUF006  it awaits one reply

    def died(self, death: Death) -> None:
        """An exit of the holder's that is an errand's. It is acknowledged at once: nothing depends on it."""
        future = self._waiting.get(death.id)
        if future is not None and not future.done():
            future.set_result(Exit.from_wait_status(death.status))
        self.holding.ack([death.id])

    def left(self, id_: str) -> None:
        """A living one in the list of a new holder, or of a new daemon: nobody waits for it, or it is asked again."""
        if id_ not in self._waiting:
            asyncio.ensure_future(self._kill(id_))  # noqa: RUF006  it awaits one reply

    def leader(self, pid: int, start_ticks: int) -> str | None:
        """The process for which this very pid runs an errand."""
        for id_, birth in self._births.items():
            if (birth.pid, birth.start_ticks) == (pid, start_ticks):
                return id_.partition(MARK)[0]
        return None


def _words(argv: Sequence[bytes]) -> str:
    text = " ".join(os.fsdecode(word) for word in argv)
    return text if len(text) <= 60 else text[:57] + "…"
