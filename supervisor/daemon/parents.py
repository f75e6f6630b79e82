"""Keeper and holder run the program's code, too: where theirs is another build they are told to become this one.

The holder first; that ends our connection, and the next one tells. Then the keeper. What runs does not notice. Where
the new code does not start they stay what they are, which is told as an event and by `aish doctor`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aish.errors import DisconnectedError
from aish.supervisor.daemon.holding import Refusal
from aish.supervisor.holder.build import OWN
from aish.wire.part import Finding

if TYPE_CHECKING:
    from aish.supervisor.daemon.daemon import Daemon

NOTED: Final = "holder-builds"
BUSY_S: Final = 1.0
BUSY_MOST: Final = 15
"""Looks at another upgrade that is under way: the holder gives one up after 10 s."""
HINT: Final = "`aish shutdown` when it suits: the next keeper and holder are the new ones"


class Parents:
    """`look` is called whenever a connection to the holder has been made."""

    def __init__(self, daemon: Daemon, noted: str | None) -> None:
        self.daemon = daemon
        self.refused: str | None = None
        self._noted = noted
        self._task: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Note what they are, and have them become what they should be."""
        self._note()
        asking = self._task is not None and not self._task.done()
        if not self._current() and not asking and self.refused is None and not self.daemon.ending.begun:
            self._task = asyncio.ensure_future(self._ask())

    def _current(self) -> bool:
        holding = self.daemon.holding
        return holding.build == OWN == holding.keeper_build

    def _note(self) -> None:
        """Remembered over daemons: the one that asked may die before it sees what came of it."""
        holding, recorder = self.daemon.holding, self.daemon.recorder
        now = f"{holding.estate} {holding.build} {holding.keeper_build}"
        if now == self._noted:
            return
        before = (self._noted or "").rsplit(" ", 2)
        if len(before) == 3 and before[0] == holding.estate:
            for who, old, new in (
                ("holder", before[1], holding.build),
                ("keeper", before[2], holding.keeper_build),
            ):
                if old != new:
                    text = f"the {who} is another program now, with all its children: build {new}, before {old}"
                    recorder.event("upgraded", text=text, build=new, before=old)
        self._noted = now
        recorder.note(NOTED, now)

    async def _ask(self) -> None:
        for _ in range(BUSY_MOST):
            try:
                await self.daemon.holding.request("upgrade", build=OWN)
            except DisconnectedError:
                return  # it is becoming the new one, or died: the next connection looks again
            except Refusal as refusal:
                if refusal.code in ("busy", "closing"):
                    await asyncio.sleep(BUSY_S)
                    continue
                old = refusal.code == "unknown-op"
                self.refused = "they are of a release that cannot become another" if old else refusal.message
                text = f"keeper and holder stay build {self.daemon.holding.build}: {self.refused}"
                self.daemon.recorder.event("upgrade-refused", text=text, build=OWN)
                return
            else:
                self.daemon.holding.keeper_build = OWN
                self._note()
                return

    def finding(self) -> Finding:
        """For the doctor."""
        holding = self.daemon.holding
        if self._current():
            return Finding(level="ok", topic="holder", text=f"keeper and holder are build {OWN}, as on disk")
        text = f"keeper is build {holding.keeper_build}, holder {holding.build}, the program on disk {OWN}"
        why = self.refused or "they are being upgraded"
        hint = HINT if self.refused is not None else None
        return Finding(level="warn", topic="holder", text=f"{text}: {why}", hint=hint)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
