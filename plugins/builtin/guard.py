"""Between the model and its tools: every call is put before a person where the file says so, told, and bounded."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic_ai.toolsets import WrapperToolset

from aish.plugins.builtin import wish as wishes
from aish.plugins.builtin.bound import bounded, encodable
from aish.plugins.builtin.declined import DeclinedError
from aish.plugins.builtin.places import OutsideError
from aish.plugins.builtin.wish import Wish, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_ai.tools import RunContext
    from pydantic_ai.toolsets.abstract import ToolsetTool

    from aish.spi.agent_adapter import Host

RESULT_CHARS: Final = 32_000
TITLE_CHARS: Final = 300
BODY_CHARS: Final = 60_000
"""A question has room for 256 KiB, and cuts without a word."""


@dataclass
class Record:
    """What became of the calls of a turn."""

    done: int = 0
    denied: int = 0
    last_denied: str | None = None
    """What was not allowed, as long as nothing was done after it."""
    granted: set[str] = field(default_factory=set)

    @property
    def refused(self) -> bool:
        """Everything that it wanted to do was denied."""
        return self.denied > 0 and not self.done


@dataclass
class Guard(WrapperToolset[None]):
    """`wishes`: tool -> what a call of it wants; a tool without is one of an MCP server. `groups`: tool -> the word
    in the file that has given it, if another. `rules`, `otherwise`: see wish.rule."""

    host: Host
    wishes: Mapping[str, Callable[..., Wish]]
    rules: Mapping[str, str]
    otherwise: str
    record: Record
    result_chars: int = RESULT_CHARS
    groups: Mapping[str, str] = field(default_factory=dict)

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[None], tool: ToolsetTool[None]
    ) -> str:
        """The result as text, for the model: of what is denied and of what fails, too."""
        try:
            wish = self._wish(name, tool_args)
            no = await self._denied(name, wish)
            if no is not None:
                self.record.denied += 1
                self.record.last_denied = wish.title
                return no
            self.host.activity("tool", wish.title)
            self.host.record("tool", name=name, title=wish.title)
            self.record.done += 1
            self.record.last_denied = None
            result = _text(await super().call_tool(name, tool_args, ctx, tool))
            status = "done"
        except (DeclinedError, OutsideError) as error:
            result, status = f"error: {error}", "error"
        finally:
            self.host.activity(None)
        result = bounded(encodable(result), self.result_chars)
        self.host.record("result", name=name, status=status, text=result)
        return result

    def _wish(self, name: str, arguments: dict[str, Any]) -> Wish:
        if name in self.wishes:
            return self.wishes[name](**arguments)
        body = json.dumps(arguments, ensure_ascii=False, indent=1, default=str)
        return Wish(
            title=f"use {one_line(name)}", body=body, grant=f"server:{name}", always=f"calls of {one_line(name)}"
        )

    async def _denied(self, name: str, wish: Wish) -> str | None:
        """What the model is told of it; None: it may. Raises AishError."""
        rule = wishes.rule(self.groups.get(name, name), self.rules, self.otherwise)
        if rule == "allow" or (wish.free and rule == "ask") or wish.grant in self.record.granted:
            return None
        if rule == "deny":
            self.host.record("answer", title=wish.title, answer="Deny", by="permissions of its file")
            return f"{name} is denied here: go on without it."
        answer = await self.host.ask(
            encodable(wish.title)[:TITLE_CHARS],
            body=bounded(encodable(wish.body), BODY_CHARS),
            form=wish.form,
            options=wishes.options(wish),
            words=True,
        )
        if answer.option == "always":
            self.record.granted.add(wish.grant)
        if answer.option in wishes.ALLOWED:
            return None
        why = f" and says: {answer.words}" if answer.words else ""
        return f"The person denied this{why}. Go on without it, or in another way."


def _text(result: object) -> str:
    """Servers answer with texts, tables or pictures: a picture is only named."""
    if isinstance(result, str):
        return result
    if isinstance(result, (bytes, bytearray)):
        return f"[{len(result):,} bytes]"
    try:
        return json.dumps(result, ensure_ascii=False, default=_named)
    except (TypeError, ValueError):
        return _named(result)


def _named(value: object) -> str:
    return f"[{type(value).__name__}]"
