"""How aish runs Aider."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from aish.plugins.aider import way
from aish.plugins.aider.lines import Lines
from aish.spi.agent_adapter import Command, Meter, ProgramError

if TYPE_CHECKING:
    from aish.spi.agent_adapter import Gateway, Host, Task

PROGRAM: Final = "aider"


class Adapter:
    """Implements aish.spi.agent_adapter.AgentAdapter."""

    name = PROGRAM
    program = PROGRAM
    own_login: Meter = "none"
    confined = True
    keeps_sessions = False

    def missing(self) -> str | None:
        return None if shutil.which(PROGRAM) else "install it with: pipx install aider-chat"

    def attached(self, task: Task, gateway: Gateway, folder: str) -> Command:
        return way.attached(task, gateway, os.environ)

    async def run(self, task: Task, host: Host) -> None:
        """Its status is the turn's, though it ends with 0 after most failures."""
        file = os.path.join(host.folder, "message.txt")
        command = way.headless(task, host.gateway, os.environ, file, repository=_in_repository(task.cwd))
        with open(file, "x", encoding="utf-8", errors="replace") as message:
            message.write(way.message(task))
        program = await host.start(command)
        await program.close()
        lines = Lines()
        async for line in program.lines():
            if lines.answer(line):
                host.text(line + "\n")
            elif line.strip():
                host.progress(line)
        status = await program.ended()
        if status:
            raise ProgramError(f"aider ended with {status}", ended=status)


def _in_repository(folder: str) -> bool:
    path = os.path.realpath(folder)
    while not os.path.exists(os.path.join(path, ".git")):
        if path == "/":
            return False
        path = os.path.dirname(path)
    return True
