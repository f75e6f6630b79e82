"""`Cancel`: the turn of an agent that is under way ends, and the agent goes on where it reads mail."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from aish.agents.host.invocation import is_host
from aish.errors import ConflictError
from aish.model import kind, state
from aish.supervisor.daemon.control import by, who
from aish.wire.reply import Done

if TYPE_CHECKING:
    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.control import Control
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.process import Process
    from aish.wire.message import Cancel


class Cancelling:
    def __init__(self, daemon: Daemon, control: Control) -> None:
        self.daemon = daemon
        self.target = control.target

    async def cancel(self, caller: Caller, request: Cancel) -> Done:
        """Raises ConflictError for what has no turns, has ended or is held in mid-turn, UnavailableError."""
        process = self.target(caller, "Cancel", request.target)
        row = process.row
        self._check(process)
        if row.lifecycle != state.RUNNING or not self.daemon.posting.turn_under_way(row.id):
            return Done(changed=False)
        before, row.signalled = row.signalled, (signal.SIGINT, who(caller))

        def sent() -> None:
            self.daemon.recorder.event("cancelled", row, by(caller))

        # Its host tells the program in the program's own way, which a signal to all of the group would forestall.
        group = not is_host(row.spec.argv)
        if not await self.daemon.conductor.sending.signal_told(process, signal.SIGINT, sent, group=group):
            row.signalled = before
            raise ConflictError(f"{row.name} ({row.id}) has just ended")
        return Done()

    def _check(self, process: Process) -> None:
        row = process.row
        name = f"{row.name} ({row.id})"
        if row.spec.kind != kind.AGENT:
            raise ConflictError(
                f"{name} is a {row.spec.kind}: it has no turns that could be cancelled",
                hint=f"`aish kill -INT {row.name}` is its Ctrl-C, `aish stop {row.name}` ends it",
            )
        if row.ended:
            raise ConflictError(f"{name} has ended")
        if is_host(row.spec.argv) and b"--attached" in row.spec.argv:
            raise ConflictError(
                f"{name} is a program on a terminal: it knows itself how it is interrupted",
                hint=f"`aish attach {row.name}`, and its own key",
            )
        if row.stands_still:
            raise ConflictError(
                f"{name} stands still: it cannot end its turn before it goes on",
                hint=f"`aish cont {row.name}` first, or `aish stop {row.name}`",
            )
