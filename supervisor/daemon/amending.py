"""Amend and Down: what a project's file wants of processes that are there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.errors import ConflictError
from aish.model import state
from aish.supervisor.daemon import authority, stopping, want
from aish.supervisor.daemon.control import by, who
from aish.supervisor.daemon.succession import differences, successor
from aish.wire.message import Amend, Down
from aish.wire.reply import Done
from aish.wire.spec import AMENDABLE

if TYPE_CHECKING:
    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.control import Control
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.limiting import Limiting
    from aish.wire.spec import SpecPart


class Amending:
    def __init__(self, daemon: Daemon, control: Control, limiting: Limiting) -> None:
        self.daemon, self.limiting = daemon, limiting
        self.target = control.target

    async def amend(self, caller: Caller, request: Amend) -> Done:
        """All of it or nothing. Raises InputError, LimitError, ConflictError where it takes a restart."""
        process = self.target(caller, "Amend", request.target)
        row = process.row
        spec = successor(row, request.spec)
        fields = differences(row.spec, spec)
        if not fields:
            return Done(changed=False)
        beyond = [field for field in fields if field not in AMENDABLE]
        if beyond:
            raise ConflictError(
                f"{row.name} ({row.id}) has to be started again to have another {', '.join(beyond)}",
                hint=f"`aish restart {row.name}`",
            )
        if row.again:
            raise ConflictError(f"{row.name} ({row.id}) is just being started again", hint="try again in a moment")
        if (row.adopted or row.targets) and {"restart", "schedule", "group"} & set(fields):
            what = "was adopted" if row.adopted else "was given descriptors"
            raise ConflictError(f"{row.name} ({row.id}) {what}: it cannot be started again by the supervisor")
        if row.lifecycle == state.SCHEDULED and spec.schedule is None:
            raise ConflictError(f"{row.name} ({row.id}) waits for its schedule: without one it has to be started")
        if "limits" in fields:
            self.limiting.hold(process, spec.limits)
        memory_changed = _memory(spec) != _memory(row.spec)
        if "group" in fields:
            row.group_wish = None  # it was decided for a member of another group
        row.spec = spec
        self.daemon.recorder.event("amended", row, f"{by(caller)}: {', '.join(fields)}")
        if row.lifecycle == state.SCHEDULED and "schedule" in fields:
            self.daemon.conductor.timetable.later(process)
        if "limits" in fields:
            self.limiting.held(process, memory_changed=memory_changed)
        if "run_timeout_s" in fields:
            self.daemon.conductor.lives.limit_run(process)
        self.daemon.conductor.changed(process)
        return Done()

    async def down(self, caller: Caller, request: Down) -> Done:
        """Raises InputError, UnavailableError where one does not end."""
        authority.check(self.daemon.table, caller, "Down")
        want.check_grace(request.grace_s)
        processes = [
            process
            for process in self.daemon.table.alive()
            if process.row.spec.project == request.project
            and (not request.targets or process.row.name in request.targets or process.id in request.targets)
        ]
        for process in processes:
            self.daemon.recorder.event("wanted", process.row, f"down {by(caller)}")
        await stopping.stop_all(self.daemon.conductor, processes, request.grace_s, by=who(caller))
        return Done(changed=bool(processes))


def _memory(spec: SpecPart) -> int | None:
    return spec.limits.memory_bytes if spec.limits is not None else None
