"""Processes that are observed: what they use of models does not pass the gateway, the logs of their sessions tell it.

Here is found out which logs are whose; the gateway, which owns all usage, reads and counts them. What was found is in
the row, so that neither's death loses any; it is closed when the gateway has read all of it after the end.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aish.errors import StorageError
from aish.model.state import RUNNING, STOPPING
from aish.supervisor.daemon import clock
from aish.supervisor.daemon.session_logs import MOST_LOGS, Finder, Wanted, folder, surroundings
from aish.wire.part import SessionPart

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.daemon.environ import EnvironFiles
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.reach import Reach
    from aish.supervisor.daemon.recorder import Recorder
    from aish.supervisor.daemon.session_logs import Found
    from aish.supervisor.daemon.table import Table

LOOK_S: Final = 1.0
EVERYWHERE: Final = 15
"""Each so many looks are at the folders of earlier days, too."""


class Observing:
    """`changed` has a row written, and told to the gateway; `wanted` has a gateway run."""

    def __init__(
        self,
        table: Table,
        recorder: Recorder,
        reach: Reach,
        files: EnvironFiles,
        changed: Callable[[Process], None],
        wanted: Callable[[], None],
    ) -> None:
        self._table, self._recorder, self._reach, self._files = table, recorder, reach, files
        self._changed, self._wanted = changed, wanted
        self._finder = Finder()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None
        self._again = False
        self._looks = 0
        self._unclear: set[bytes] = set()

    def began(self, process: Process) -> None:
        """It runs, or is found so by a new daemon."""
        row = process.row
        if row.spec.observe is None or row.pid is None or row.start_ticks is None:
            return
        if row.sessions_run != (row.pid, row.start_ticks):
            row.sessions_run = (row.pid, row.start_ticks)
            row.sessions_from_s = clock.wall_s(row.start_ticks / clock.TICKS_PER_S)
            row.sessions_in = self._folder(process)
            row.sessions_open, row.sessions_known = True, False
            self._changed(process)
        self._wanted()
        self._soon()

    def _folder(self, process: Process) -> bytes | None:
        """Where its program has its logs, by the environment that it got."""
        try:
            launch = process.launch or self._files.load(process.id)
        except StorageError:
            launch = None
        return folder(launch.environ) if launch is not None else None

    def ended(self, process: Process) -> None:
        """A run of it is over: it is looked once more, at once, for what it wrote in its last moments."""
        if process.row.sessions_open:
            self._wanted()
            self._soon()

    def go_on(self) -> None:
        """A new daemon takes over what is not closed."""
        if self._open():
            self._wanted()
            self._soon()

    def read(self, process: Process, run: tuple[int, int] | None) -> None:
        """The gateway has read all that there is of that run."""
        row = process.row
        if row.sessions_run == run and row.ended and row.sessions_known and row.sessions_open:
            row.sessions_open = False
            self._recorder.change(row)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()

    # --- looking ------------------------------------------------------------------------------------------------

    def _open(self) -> list[Process]:
        """Those of which there may be more."""
        return [process for process in self._table if process.row.sessions_open and not process.row.sessions_known]

    def _soon(self) -> None:
        """Look now; while somebody looks, once more after that."""
        if self._looking is not None:
            self._again = True
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._looking = self._loop.create_task(self._look(), name="sessions")

    async def _look(self) -> None:
        over = [(process, process.row.sessions_run) for process in self._open() if process.row.ended]
        wanted = [each for process in self._open() if (each := self._as_wanted(process)) is not None]
        everywhere = self._looks % EVERYWHERE == 0 or bool(over)
        self._looks += 1
        try:
            found = await asyncio.to_thread(self._finder.find, wanted, everywhere=everywhere)
            self._enter(found)
            for process, run in over:
                if process.row.sessions_run == run:  # else it was started again meanwhile
                    self._close(process)
        finally:
            self._looking = None
        if self._again:
            self._again = False
            self._soon()
        elif self._open():
            self._timer = self._loop.call_later(LOOK_S, self._soon)

    def _as_wanted(self, process: Process) -> Wanted | None:
        row = process.row
        if row.sessions_in is None or row.sessions_from_s is None:
            return None
        alive = row.lifecycle in (RUNNING, STOPPING)
        pids = tuple(self._reach.members(row)) if alive else ()
        cwds, words = surroundings(pids, row.spec.cwd, row.spec.argv)
        return Wanted(
            id=row.id,
            folder=row.sessions_in,
            cwds=cwds,
            words=words,
            pids=pids,
            began_s=row.sessions_from_s,
            ended_s=None if alive else row.ended_s,
            known={part.path: part.session for part in row.sessions},
        )

    def _enter(self, found: Found) -> None:
        for id, logs in found.logs.items():
            process = self._table.get(id)
            if process is None:
                continue
            row = process.row
            from_s = row.sessions_from_s or 0.0
            parts = [SessionPart(path=path, session=session, from_s=from_s) for path, session in logs.items()]
            row.sessions = [*row.sessions, *parts][:MOST_LOGS]
            for part in parts:
                self._recorder.event("observed", row, f"it writes the session {part.session}", session=part.session)
            self._changed(process)
        for path, ids in found.unclear.items():
            if path not in self._unclear:
                self._unclear.add(path)
                for id in ids:
                    process = self._table.get(id)
                    others = ", ".join(each for each in ids if each != id)
                    if process is not None:
                        text = f"a session in its folder may be its own or that of {others}: it is not counted"
                        self._recorder.event("unobserved", process.row, text)

    def _close(self, process: Process) -> None:
        """It has ended, and all that it wrote is known."""
        row = process.row
        if row.ended and not row.sessions_known:
            row.sessions_known = True
            if not row.sessions:
                text = "no log of a session of it was found: what it used is not known"
                self._recorder.event("unobserved", row, text)
            self._changed(process)
