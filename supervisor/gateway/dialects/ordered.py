"""The calls of a chat's stream one after the other, for dialects that tell one at a time. Pure.

OpenAI's chats do not say where a call ends, and pieces of several may alternate (index 0, 1, 0, 1). So the first one
is told as it comes, and those behind it wait until its arguments are a whole object, at the latest until the end.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aish.errors import UpstreamError
from aish.supervisor.gateway.dialects import chunk

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.chunk import ToolCall

MOST_WAITING_BYTES: Final = 4 << 20
_PIECE_BYTES: Final = 200
"""What a piece takes beside its text."""
_MARKS: Final = re.compile(r'\\.|["{}\[\]]', re.DOTALL)


class Ordered:
    """The calls of one answer of `server`. What it returns is (place among the calls, piece), places ascending."""

    def __init__(self) -> None:
        self._calls = chunk.Calls()
        self._told = 0
        """The place of the call that is being told; those before it are over."""
        self._nesting = _Nesting()
        self._waiting: dict[int, list[ToolCall]] = {}
        self._waiting_bytes = 0

    def put(self, tool: ToolCall, server: str) -> list[tuple[int, ToolCall]]:
        """A piece that came: what can be told now. Raises UpstreamError."""
        place = self._calls.place(tool)
        if place < self._told:
            if _text(tool).strip():
                raise UpstreamError(f"the server of {server} sent a tool call in pieces that are out of order")
            return []
        self._waiting.setdefault(place, []).append(tool)
        self._waiting_bytes += _bytes(tool)
        found = self._released()
        while self._nesting.whole and self._told + 1 in self._waiting:
            self._told, self._nesting = self._told + 1, _Nesting()
            found += self._released()
        if self._waiting_bytes > MOST_WAITING_BYTES:
            raise UpstreamError(
                f"the server of {server} sent more than {MOST_WAITING_BYTES >> 20} MiB of tool calls"
                " before the first of them was whole"
            )
        return found

    def rest(self) -> list[tuple[int, ToolCall]]:
        """Something else follows, or nothing: all that waits; the calls until here are over."""
        found: list[tuple[int, ToolCall]] = []
        while self._told < self._calls.begun:
            found += self._released()
            self._told += 1
        self._nesting = _Nesting()
        return found

    def _released(self) -> list[tuple[int, ToolCall]]:
        pieces = self._waiting.pop(self._told, [])
        for tool in pieces:
            self._nesting.read(_text(tool))
            self._waiting_bytes -= _bytes(tool)
        return [(self._told, tool) for tool in pieces]


class _Nesting:
    """Whether a text that comes in pieces is a whole object, if it is JSON at all. Each piece is read once."""

    __slots__ = ("_begun", "_depth", "_escape", "_quoted")

    def __init__(self) -> None:
        self._depth = 0
        self._begun = self._quoted = False
        self._escape = ""
        """A backslash at the end of the piece before."""

    @property
    def whole(self) -> bool:
        return self._begun and self._depth <= 0 and not self._quoted

    def read(self, piece: str) -> None:
        text, end = self._escape + piece, 0
        for mark in _MARKS.finditer(text):
            end = mark.end()
            match mark[0]:
                case '"':
                    self._quoted = not self._quoted
                case "{" | "[" if not self._quoted:
                    self._begun, self._depth = True, self._depth + 1
                case "}" | "]" if not self._quoted:
                    self._depth -= 1
                case _:
                    pass
        self._escape = "\\" if text.endswith("\\", end) else ""


def _text(tool: ToolCall) -> str:
    return (tool.function.arguments or "") if tool.function is not None else ""


def _bytes(tool: ToolCall) -> int:
    name = tool.function.name if tool.function is not None else None
    return _PIECE_BYTES + len(_text(tool)) + len(name or "") + len(tool.id or "")
