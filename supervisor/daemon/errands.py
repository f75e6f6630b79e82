"""Short commands that are run for a process: probes, hooks, the check that decides success.

Each is a child of the holder with the id `ID.what.RANDOM`, in the process's folder, with its environment and its
logs; never a row of the table. One that a daemon left behind is killed by the next, which does again what it was for.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Final

from aish.errors import AishError, DisconnectedError
from aish.model.exit import Exit
from aish.supervisor.daemon.holding import Refusal
from aish.supervisor.daemon.launcher import why

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aish.supervisor.daemon.holding import Death, Holding
    from aish.supervisor.daemon.launcher import Launcher
    from aish.supervisor.daemon.process import Process

MARK: Final = "."
"""Divides the id of a process from what is done for it; no process's id has one."""


class ErrandError(AishError):
    """It could not be started, or did not end in time: no answer. `str()` says which, `why` without its words."""

    def __init__(self, message: str, why: str | None = None) -> None:
        super().__init__(message if why is None else f"{message}{why}")
        self.why = message if why is None else why.removeprefix(": ").strip()


class Errands:
    def __init__(self, holding: Holding, launcher: Launcher) -> None:
        self.holding, self.launcher = holding, launcher
        self._waiting: dict[str, asyncio.Future[Exit]] = {}
        self._given_up: set[str] = set()
        """Those that were to be ended when they might not have been there yet."""
        self._pids: dict[int, tuple[str, int | None]] = {}
        """pid -> (id of the process, start time): who such a command acts as."""

    async def run(
        self,
        process: Process,
        what: str,
        argv: Sequence[bytes],
        timeout_s: float,
        told: Mapping[str, str] | None = None,
        *,
        out: int | None = None,
    ) -> Exit:
        """Its end. `told` are variables that it gets beside the process's own; `out` is its stdout, else its log.

        Raises ErrandError.
        """
        id_ = f"{process.id}{MARK}{what}{MARK}{os.urandom(4).hex()}"
        future: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._waiting[id_] = future
        pid: int | None = None
        try:
            birth = await self.launcher.start_errand(process, id_, argv, told or {}, out)
            pid = birth.pid
            self._pids[pid] = (process.id, birth.start_ticks)
            if id_ in self._given_up:
                await self._kill(id_)
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            await self._kill(id_)
            raise ErrandError(_words(argv), f" did not end within {timeout_s:g} s") from None
        except (Refusal, AishError, OSError) as error:
            raise ErrandError(_words(argv), f": {why(error)}") from error
        except asyncio.CancelledError:
            await self._kill(id_)
            raise
        finally:
            del self._waiting[id_]
            self._given_up.discard(id_)
            self.launcher.logs.closed(process.id)
            if pid is not None:
                self._pids.pop(pid, None)

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
        found = self._pids.get(pid)
        return found[0] if found is not None and found[1] == start_ticks else None


def _words(argv: Sequence[bytes]) -> str:
    text = " ".join(os.fsdecode(word) for word in argv)
    return text if len(text) <= 60 else text[:57] + "…"
