"""The built-in agent as an adapter. The library of its loop is heavy, and only imported in `run`."""

from __future__ import annotations

from importlib import util
from typing import TYPE_CHECKING

from aish.errors import NotFoundError, UsageError
from aish.spi.acting import BUILTIN
from aish.spi.agent_adapter import Command, Meter

if TYPE_CHECKING:
    from aish.spi.agent_adapter import Gateway, Host, Task

_NEEDED = ("pydantic_ai", "openai", "jsonschema")
_INSTALL = "install it: pip install 'aish-shell[agents]'"


class Adapter:
    """Implements aish.spi.agent_adapter.AgentAdapter."""

    name = BUILTIN
    program = ""
    own_login: Meter = "none"
    keeps_conversation = True
    confined = True
    keeps_sessions = False
    answers_by_schema = True

    def missing(self) -> str | None:
        return None if all(util.find_spec(name) for name in _NEEDED) else _INSTALL

    def attached(self, task: Task, gateway: Gateway, folder: str) -> Command:
        raise UsageError(
            "the built-in agent has no terminal of its own", hint="give it its task as words, or on stdin"
        )

    async def run(self, task: Task, host: Host) -> None:
        lacking = self.missing()
        if lacking is not None:
            raise NotFoundError("the library of the built-in agent is not installed", hint=lacking)
        from aish.plugins.builtin import turn

        await turn.run(task, host)
