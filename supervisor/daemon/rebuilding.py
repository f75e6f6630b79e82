"""A table that was lost is made again of what runs: of what the holder has, of what it keeps, of who has our mark.

What was handed back has that mark, too, and is nobody's here: see `survivors`. What has not run cannot be found.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from msgspec import structs

from aish.errors import InputError
from aish.supervisor.daemon import proc, tagged
from aish.supervisor.daemon.process import Process
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.table import check_name
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.holding import Birth, Death

FOUND: Final = "found running: the process table had been lost"
NOT_FOUND: Final = (
    "with the table were lost what waited, schedules, restart policies and limits; "
    "what has cleared its environment may run unseen"
)


class Rebuilding:
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def by_mark(self) -> None:
        """Before the holder is asked: whoever lives and has our mark, whoever its parents are by now."""
        daemon = self.daemon
        found, given = tagged.look(daemon.reach.tag_of), daemon.survivors.ids()
        led = tagged.leaders(found)
        for each in led.values():
            if each.id not in given:
                self._enter(each.id, each.pid, each.start_ticks, each.name)
        unled = [each.pid for each in found if each.id not in led and each.id not in given]
        part = f"; nobody knows what these are part of: {proc.named(unled)}" if unled else ""
        daemon.found.alerts.append(f"{NOT_FOUND}{part}")

    async def by_store(self) -> None:
        """What the holder keeps: terminals, and who was adopted, who has no mark. Raises DisconnectedError."""
        holding, table = self.daemon.holding, self.daemon.table
        for name in await holding.names():
            what, _, id_ = name.partition(".")
            process = table.get(id_)
            if what == "pty" and process is not None:
                process.row.spec = structs.replace(process.row.spec, pty=True)
            elif what == "adopted" and process is None:
                for fd in await holding.fetch(name):
                    self._adopted(id_, proc.pid_of(fd))
                    os.close(fd)

    def born(self, birth: Birth) -> None:
        """A child of the holder that nobody knows so far."""
        known = next(iter(tagged.look(self.daemon.reach.tag_of, [birth.pid])), None)
        name = known.name if known is not None and known.id == birth.id else None
        self._enter(birth.id, birth.pid, birth.start_ticks, name)

    def died(self, death: Death) -> None:
        """The same of one that has ended meanwhile: its exit is about to be applied."""
        row = self._row(death.id, death.pid, death.start_ticks, [b"?"], b"/", death.id)
        row.reason = "found ended: the process table had been lost"
        self.daemon.table.add(Process(row))

    def _adopted(self, id_: str, pid: int | None) -> None:
        place = proc.stat(pid) if pid is not None else None
        if pid is not None and place is not None and self.daemon.table.get(id_) is None:
            process = self._enter(id_, pid, place.start_ticks, None)
            process.row.adopted, process.row.logged = True, (False, False)

    def _enter(self, id_: str, pid: int, start_ticks: int | None, name: str | None) -> Process:
        argv, cwd = proc.command(pid)
        row = self._row(id_, pid, start_ticks, argv or [b"?"], cwd, self._fit(name, id_))
        row.reason = FOUND
        process = Process(row)
        self.daemon.table.add(process)
        self.daemon.recorder.event("found", row, row.reason, pid=pid)
        self.daemon.conductor.changed(process)
        return process

    def _fit(self, name: str | None, id_: str) -> str:
        """The name that it had, if it is one and nobody else has it."""
        try:
            check_name(name or "")
        except InputError:
            return id_
        return id_ if name is None or self.daemon.table.named(name) is not None else name

    def _row(self, id_: str, pid: int, start_ticks: int | None, argv: list[bytes], cwd: bytes, name: str) -> Row:
        own = next((part for part in (self.daemon.gateway, self.daemon.egress) if part.id == id_), None)
        if own is not None:  # what it is to be is known, and that it is to be started again
            row = own.row()
        else:
            number = int(id_[1:]) if id_[1:].isdecimal() else 0
            spec = SpecPart(argv=argv, cwd=cwd, name=name)
            row = Row(id=id_, number=number, name=name, spec=spec, created_s=time.time())
        row.lifecycle, row.started_s = "running", time.time()
        row.pid, row.start_ticks, row.boot_id = pid, start_ticks, self.daemon.boot_id
        return row
