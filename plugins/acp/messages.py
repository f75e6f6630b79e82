"""A program's lines as messages of JSON-RPC. What is none is passed over, told of a few times, and has a bound."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from aish.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.spi.agent_adapter import Program

STRAY_TOLD: Final = 5
STRAY_MOST: Final = 10_000
"""Lines that are no message: one that writes nothing else never gets to the point."""
_TOLD_CHARS: Final = 200
_MESSAGE_CHARS: Final = 1 << 20
"""A line as long as this that is no message was one, and is cut: what it said is lost, and somebody waits for it."""


class Messages:
    """Implements the library's Transport. `note` tells a person one line."""

    def __init__(self, program: Program, name: str, note: Callable[[str], None]) -> None:
        self._program, self._name, self._note = program, name, note
        self._lines = aiter(program.lines())
        self._turn = asyncio.Lock()
        self._stray = 0
        self.failure: UpstreamError | None = None
        """Why there is no next message, where it is not that the program has ended."""

    async def send(self, message: dict[str, Any]) -> None:
        """Raises UpstreamError for a request that nobody reads; an answer that nobody wants is no fault."""
        line = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        try:
            async with self._turn:
                await self._program.send(line)
        except UpstreamError:
            if "method" in message:
                raise

    async def receive(self) -> dict[str, Any] | None:
        """None: no more."""
        async for line in self._lines:
            message = read(line)
            if message is not None:
                return message
            if line.strip() and not self._passed_over(line):
                break
        return None

    async def close(self) -> None:
        await self._program.close()

    def _passed_over(self, line: str) -> bool:
        self._stray += 1
        if len(line) > _MESSAGE_CHARS:
            self.failure = UpstreamError(
                f"{self._name} sent a message that is too long", hint="its fault: report it there"
            )
        elif self._stray > STRAY_MOST:
            self.failure = UpstreamError(
                f"{self._name} does not speak the Agent Client Protocol: {STRAY_MOST:,} lines were no messages",
                hint="which words make it speak it? arguments: [acp], in the agent's file",
            )
        elif self._stray <= STRAY_TOLD:
            self._note(f"{self._name} said: {line.strip()[:_TOLD_CHARS]}")
        return self.failure is None


def read(line: str) -> dict[str, Any] | None:
    """A message as the library can bear it; None: it is none. Pure."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict):
        return None
    method, id_ = message.get("method"), message.get("id")
    if not isinstance(id_, int | str | None):
        return None
    if method is not None:
        return message if isinstance(method, str) else None
    if "id" not in message:
        return None
    error = message.get("error")
    if "result" not in message and error is not None:
        told: dict[str, Any] = error if isinstance(error, dict) else {"message": str(error)}
        message["error"] = {
            "code": told["code"] if isinstance(told.get("code"), int) else -32603,
            "message": str(told.get("message") or "it does not say why"),
            "data": told.get("data"),
        }
    return message
