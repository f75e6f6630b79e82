"""Signal, Stop, Pause, Cont, Forget: what changes a process. Authority is checked before anything else."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from aish.errors import ConflictError, InputError, RefusedError
from aish.model import kind, state
from aish.supervisor.daemon import authority
from aish.wire.message import Cont, Done, Forget, Pause, Signal, Stop

if TYPE_CHECKING:
    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.process import Process


class Control:
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def target(self, caller: Caller, op: str, name: str) -> Process:
        """Raises NotFoundError, RefusedError. What the caller may not see is refused, not hidden: it has a name."""
        if caller.standing == "nobody":  # does not even learn what there is
            authority.check(self.daemon.table, caller, op)
        process = self.daemon.table.resolve(name, authority.visible(self.daemon.table, caller))
        authority.check(self.daemon.table, caller, op, process)
        return process

    async def signal(self, caller: Caller, request: Signal) -> Done:
        process = self.target(caller, "Signal", request.target)
        if not 1 <= request.signal < signal.NSIG:
            raise InputError(f"no signal has the number {request.signal}", field="signal", hint="1 to 64")
        row = process.row
        if row.lifecycle not in (state.RUNNING, state.STOPPING) or not row.spec.argv:
            raise ConflictError(f"{row.name} ({row.id}) is {process.word}: there is nothing to signal")
        if not await self.daemon.conductor.sending.signal_told(process, request.signal):
            raise ConflictError(f"{row.name} ({row.id}) has just ended")
        self.daemon.recorder.event("signalled", row, by(caller), signal=request.signal)
        return Done()

    async def stop(self, caller: Caller, request: Stop) -> Done:
        process = self.target(caller, "Stop", request.target)
        grace_s = request.grace_s
        if grace_s is not None and not 0 <= grace_s <= 3600:
            raise InputError("expected 0 to 3600 seconds", field="grace_s")
        return Done(changed=self.daemon.conductor.stop(process, grace_s))

    async def pause(self, caller: Caller, request: Pause) -> Done:
        process = self.target(caller, "Pause", request.target)
        row = process.row
        if row.ended:
            raise ConflictError(f"{row.name} ({row.id}) has ended")
        if row.spec.kind == kind.SYSTEM:
            raise ConflictError(f"{row.name} is part of aish: every request to a model would stand still with it")
        if not self.daemon.conductor.hold(process, state.USER, "put"):
            return Done(changed=False)
        row.paused_by = None if caller.standing == "user" else caller.id
        self.daemon.recorder.event("paused", row, by(caller))
        await self.daemon.conductor.sending.done()
        return Done()

    async def cont(self, caller: Caller, request: Cont) -> Done:
        process = self.target(caller, "Cont", request.target)
        row = process.row
        if row.ended:
            raise ConflictError(f"{row.name} ({row.id}) has ended")
        if state.USER not in row.holds:
            others = ", ".join(row.holds)
            if others:
                raise ConflictError(
                    f"{row.name} ({row.id}) is held: {others}",
                    hint=f"raise the limit: `aish limit {row.name} tokens=+50k`"
                    if state.BUDGET in row.holds
                    else None,
                )
            return Done(changed=False)
        if caller.standing != "user" and row.paused_by is None:
            raise RefusedError(f"{row.name} ({row.id}) was paused by the user, who alone lets it go on")
        if self.daemon.conductor.hold(process, state.USER, "lift"):
            await self.daemon.conductor.sending.done()
        row.paused_by = None
        self.daemon.recorder.event("continued", row, by(caller))
        return Done()

    async def forget(self, caller: Caller, request: Forget) -> Done:
        process = self.target(caller, "Forget", request.target)
        row = process.row
        if not row.ended:
            raise ConflictError(
                f"{row.name} ({row.id}) is {process.word}", hint=f"stop it first: `aish stop {row.id}`"
            )
        self.daemon.forget([process])
        return Done()


def by(caller: Caller) -> str:
    return f"by {caller.id}" if caller.id is not None else "by the user"
