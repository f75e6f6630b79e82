"""The turn of a program that knows nothing of aish."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from aish.errors import UpstreamError, UsageError
from aish.model import client_environ
from aish.spi.agent_adapter import Command, Meter, ProgramError

if TYPE_CHECKING:
    from aish.spi.agent_adapter import Gateway, Host, Task


class Adapter:
    """Implements aish.spi.agent_adapter.AgentAdapter."""

    name = "program"
    program = ""
    own_login: Meter = "none"
    confined = True
    keeps_sessions = False

    def missing(self) -> str | None:
        return None

    def attached(self, task: Task, gateway: Gateway, folder: str) -> Command:
        environ: dict[str, str | None] = {}
        if task.login == "own":  # what it has of ours would lead past its login
            environ |= client_environ.withdrawn(gateway.base_url, gateway.key, os.environ)
        else:
            environ |= client_environ.variables(gateway.base_url, gateway.key, "all")
        if task.model is not None:
            environ["AISH_MODEL"] = task.model
        if task.instructions:
            environ["AISH_INSTRUCTIONS"] = task.instructions
        return Command(argv=(_program(task), *task.arguments), environ=environ)

    async def run(self, task: Task, host: Host) -> None:
        """Its status is the turn's: what ends with another than 0 has failed."""
        program = await host.start(self.attached(task, host.gateway, host.folder))
        with contextlib.suppress(UpstreamError):  # it may go by its words alone
            await program.send(task.prompt)
        await program.close()
        async for line in program.lines():
            host.text(line + "\n")
        status = await program.ended()
        if status:
            raise ProgramError(f"{_program(task)} ended with {status}", ended=status)


def _program(task: Task) -> str:
    if task.program is None:
        raise UsageError("the adapter `program` needs one", hint="program: ./agent.py, in the front matter")
    return task.program
