"""How aish runs Codex."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from aish.plugins.codex import way
from aish.spi.agent_adapter import Command, Meter

if TYPE_CHECKING:
    from aish.spi.agent_adapter import Gateway, Host, Task

PROGRAM: Final = "codex"


class Adapter:
    """Implements aish.spi.agent_adapter.AgentAdapter."""

    name = "codex"
    program = PROGRAM
    own_login: Meter = "observed"
    confined = True
    keeps_conversation = True
    own_keys = (way.OWN_KEY, "CODEX_ACCESS_TOKEN")
    passes_login = True

    def missing(self) -> str | None:
        return None if shutil.which(PROGRAM) else "install it with: npm install -g @openai/codex"

    def attached(self, task: Task, gateway: Gateway, folder: str) -> Command:
        return way.attached(task, gateway, os.environ)

    async def run(self, task: Task, host: Host) -> None:
        """stdout is the answer alone: the text of its last message."""
        from aish.agents.host import own_place
        from aish.plugins.codex.turn import Turn

        command = own_place.given(way.headless(task, host.gateway, os.environ), host.confinement, way.HOME, ".codex")
        program = await host.start(command)
        await Turn(task, host, program).hold()
