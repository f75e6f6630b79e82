"""Tools of the supervisor, as `aish mcp` has them, for this agent: what it starts in the background, and messages."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta
from pydantic_ai.tools import Tool
from pydantic_core import SchemaValidator, core_schema

from aish.client.aio import AsyncAish
from aish.errors import AishError
from aish.plugins.builtin.child import deeper, named
from aish.plugins.builtin.declined import DeclinedError
from aish.plugins.builtin.wish import Wish, one_line
from aish.spi.acting import MESSAGE, SPAWN
from aish.tools import arguments as a
from aish.tools import refusal, schema, scope
from aish.tools import tool as shared
from aish.tools.desk import Call, Desk, bare
from aish.tools.results import tree_order
from aish.wire import question as q

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aish.plugins.builtin.places import Places

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    SPAWN: ("spawn", "ps", "wait", "logs", "cancel", "stop"),
    MESSAGE: ("send", "mail"),
}
"""Word of an agent file -> the tools that it gives."""
WAIT_MOST_S: Final = 3600.0
WAIT_S: Final = 300.0
Seconds = Annotated[
    float,
    Meta(
        description="How many seconds to wait at most. When they are over the answer tells how things stand, and "
        "nothing is stopped: call again to go on waiting.",
        ge=0,
        le=WAIT_MOST_S,
    ),
]


class Wait(a.Wait, frozen=True, kw_only=True):
    """No client gives it up after a minute, and each call costs a request to the model."""

    timeout_s: Seconds = WAIT_S


class Mail(a.Mail, frozen=True, kw_only=True):
    timeout_s: Seconds = 0.0


_WAIT: Final = "Wait until processes that you have started have ended, or are ready."
_TOOLS: Final = {
    **{tool.name: tool for tool in shared.TOOLS},
    "wait": shared.named("wait")._replace(takes=Wait, description=_WAIT),
    "mail": shared.named("mail")._replace(takes=Mail),
}


class Supervised:
    """Acts as the agent's process: it sees and ends what is below that, whatever else runs."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def tools(self, group: str) -> list[Tool[None]]:
        return [self._tool(_TOOLS[name]) for name in GROUPS[group]]

    def wishes(self, group: str) -> Mapping[str, Callable[..., Wish]]:
        known: dict[str, Callable[..., Wish]] = {
            "spawn": self._spawn_wish,
            "send": _send_wish,
            **{name: _free(name) for name in ("ps", "wait", "logs", "cancel", "stop", "mail")},
        }
        return {name: known[name] for name in GROUPS[group]}

    def _tool(self, tool: shared.Tool) -> Tool[None]:
        async def called(**given: Any) -> str:
            return await self._called(tool, given)

        found = Tool[None].from_schema(called, tool.name, tool.description, schema.of(tool.takes))
        # The library takes any JSON for arguments by a schema; what is no object is a wrong call, told to the model.
        found.function_schema = replace(found.function_schema, validator=_OBJECT)
        return found

    async def _called(self, tool: shared.Tool, given: Mapping[str, Any]) -> str:
        try:
            wanted = schema.convert(tool.takes, given)
            environ = self._environ(wanted) if isinstance(wanted, a.Spawn) else None
            async with AsyncAish(program="agent") as aish:
                desk = Desk(aish, wanted=scope.ALL, folder=self._places.cwd, program="agent")
                return (await tool.perform(_Below(desk, environ), wanted)).text()
        except AishError as error:
            raise DeclinedError(refusal.told(error)) from error

    def _environ(self, wanted: a.Spawn) -> Mapping[str, str] | None:
        """Raises DeclinedError, OutsideError."""
        self._places.readable(wanted.cwd or ".")
        if not wanted.command[0].startswith("@"):
            return None
        named(wanted.command[0])
        return {**os.environ, **deeper()}

    def _spawn_wish(self, **given: Any) -> Wish:
        wanted = _converted(a.Spawn, given)
        folder = self._places.readable(wanted.cwd or ".")
        words = shlex.join(wanted.command)
        bounds = [f"{name}: {value}" for name, value in given.items() if name != "command" and value is not None]
        agent = wanted.command[0].startswith("@")
        if agent:
            named(wanted.command[0])
        grant = wanted.command[0] if agent else json.dumps(wanted.command)
        return Wish(
            title=f"start in the background: {one_line(words)}",
            body="\n".join([words, *bounds]),
            form=q.COMMAND,
            grant=f"spawn:{folder}:{grant}",
            always=f"starting {one_line(wanted.command[0])}" if agent else "this very command",
        )


_OBJECT: Final = SchemaValidator(core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema()))


class _Below(Call):
    """A call of a supervised agent: its own is what is below it, and needs no labels."""

    def __init__(self, desk: Desk, environ: Mapping[str, str] | None) -> None:
        super().__init__(desk, "agent")
        self.environ = environ

    @property
    def labels(self) -> dict[str, str]:
        return {}

    async def own(self) -> set[str]:
        caller = (await self.desk.welcome()).caller
        found: set[str] = set()
        for row in tree_order(await self.aish.processes(all=True)):
            if row.parent is not None and (row.parent == caller or row.parent in found):
                found.add(row.id)
        return found


def _send_wish(**given: Any) -> Wish:
    wanted = _converted(a.Send, given)
    name = one_line(bare(wanted.agent))
    return Wish(title=f"write to @{name}", body=wanted.text, grant=f"message:{name}", always=f"messages to @{name}")


def _free(name: str) -> Callable[..., Wish]:
    def wish(**given: Any) -> Wish:
        whom = given.get("processes") or given.get("process") or given.get("agent") or given.get("number") or ""
        words = " ".join(map(str, whom)) if isinstance(whom, list) else str(whom)
        return Wish(title=one_line(f"{name} {words}"), grant=name, always=name, free=True)

    return wish


def _converted(kind: Any, given: Mapping[str, Any]) -> Any:
    try:
        return schema.convert(kind, given)
    except AishError as error:
        raise DeclinedError(refusal.told(error)) from error
