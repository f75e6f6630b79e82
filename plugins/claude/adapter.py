"""How aish runs Claude Code."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from aish.plugins.claude import way
from aish.spi.agent_adapter import Command, Meter

if TYPE_CHECKING:
    from aish.spi.agent_adapter import Gateway, Host, Task

PROGRAM: Final = "claude"


class Adapter:
    """Implements aish.spi.agent_adapter.AgentAdapter."""

    name = "claude"
    program = PROGRAM
    own_login: Meter = "metered"
    confined = True
    own_keys = way.KEYS
    passes_login = True
    keeps_conversation = True

    def missing(self) -> str | None:
        return None if shutil.which(PROGRAM) else "install it with: npm install -g @anthropic-ai/claude-code"

    def attached(self, task: Task, gateway: Gateway, folder: str) -> Command:
        return way.attached(task, gateway, os.environ)

    async def run(self, task: Task, host: Host) -> None:
        """stdout is the answer alone: the text of its last message, which nothing followed."""
        from aish.agents.host import bookmark, own_place
        from aish.plugins.claude.turn import Turn

        branch = bookmark.branch(task, host)
        command = way.headless(task, host.gateway, os.environ, branch)
        program = await host.start(own_place.given(command, host.confinement, way.CONFIG, ".claude"))
        await Turn(host, program).hold(task.prompt)
