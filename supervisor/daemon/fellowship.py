"""The effects of group strategies: who fails takes others with it, in the order that the group names.

What a failure means for each is journaled before anything is done about it, so that the next daemon goes on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aish.model import exit as exits
from aish.model.state import RUNNING, STARTING
from aish.supervisor.daemon import runs, strategy

if TYPE_CHECKING:
    from typing import Literal

    from aish.supervisor.daemon.conductor import Conductor
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row


class Fellowship:
    def __init__(self, conductor: Conductor) -> None:
        self.conductor = conductor
        self._tasks: dict[strategy.Key, asyncio.Task[None]] = {}

    def failed(self, process: Process) -> None:
        """It is going to be started again by its policy."""
        self._concern(process, "restart", f"{process.row.name} failed")

    def settled(self, process: Process) -> None:
        """It has ended for good."""
        if strategy.failed_for_good(process.row):
            self._concern(process, "stop", f"{process.row.name} failed and is not started again")

    def waits_for(self, row: Row) -> str | None:
        """Why it may not start now."""
        return strategy.waits_for(row, self._members(row)) if row.spec.group is not None else None

    def go_on(self, process: Process) -> None:
        """A daemon before has decided about it, and died."""
        key = strategy.key(process.row)
        if process.row.group_wish is not None and key is not None:
            self._begin(key)

    def _concern(self, process: Process, wish: Literal["restart", "stop"], why: str) -> None:
        row = process.row
        key = strategy.key(row)
        if key is None:
            return
        concerned = strategy.affected(row, self._members(row))
        for member in concerned:
            if wish == "stop" or member.lifecycle in (STARTING, RUNNING):
                member.group_wish = wish
                self.conductor.recorder.event("group", member, f"{why}: it is to {wish}, too", group=key[2])
                self.conductor.recorder.change(member)
        if concerned:
            self._begin(key)

    def _begin(self, key: strategy.Key) -> None:
        if key not in self._tasks:
            task = asyncio.ensure_future(self._carry_out(key))
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _carry_out(self, key: strategy.Key) -> None:
        """Last place first, one place at a time: a stop is over when all of it has ended."""
        await asyncio.sleep(0)  # whoever fails in the same turn of the loop is part of it
        while concerned := [
            process
            for process in self.conductor.table.alive()
            if process.row.group_wish is not None and strategy.key(process.row) == key
        ]:
            last = max(strategy.place(process.row) for process in concerned)
            level = [process for process in concerned if strategy.place(process.row) == last]
            for process in level:
                self._stop(process)
            for process in level:
                while process.row.lifecycle == "stopping":
                    await process.change()

    def _stop(self, process: Process) -> None:
        row = process.row
        again, row.group_wish = row.group_wish == "restart", None
        if again and row.lifecycle not in (STARTING, RUNNING):
            self.conductor.changed(process)  # it has failed itself meanwhile: its own policy decides
            return
        row.again = row.group_restart = again
        self.conductor.stop(process, None, exits.GROUP, by=runs.GROUP)

    def _members(self, row: Row) -> list[Row]:
        key = strategy.key(row)
        return [
            process.row
            for process in self.conductor.table.alive()
            if process.row is not row and strategy.key(process.row) == key
        ]
