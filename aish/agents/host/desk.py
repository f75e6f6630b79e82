"""Where an agent's host meets the daemon: what it tells of itself, and what it asks the person."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING

from aish.agents.host import helper
from aish.client.aio import AsyncAish
from aish.errors import AishError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from aish.agents.host.helper import Helper
    from aish.spi.agent_adapter import Command
    from aish.wire.question import AnswerPart, OptionPart


class Desk:
    """Tells the newest only; a daemon that is away misses nothing but what is old by then."""

    def __init__(self) -> None:
        self._aish = AsyncAish()
        self._news = asyncio.Event()
        self._told: tuple[str | None, str | None] = (None, None)
        self._teller: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._teller = asyncio.get_running_loop().create_task(self._tell(), name="tell")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._teller is not None:
            self._teller.cancel()
            await asyncio.gather(self._teller, return_exceptions=True)
        await self._aish.close()

    def tell(self, word: str | None, doing: str | None) -> None:
        if (word, doing) != self._told:
            self._told = word, doing
            self._news.set()

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            with contextlib.suppress(AishError):  # a view lacks a word: the work goes on
                await self._aish.tell(*self._told)

    async def helper(self, name: str, command: Command, cwd: str) -> Helper:
        """Raises AishError."""
        return await helper.start(self._aish, name, command, cwd)

    async def ask(
        self,
        title: str,
        *,
        kind: str,
        body: str,
        form: str,
        options: Sequence[OptionPart],
        words: bool,
        token: str | None,
    ) -> AnswerPart:
        """Wait for the person. Cancelled: withdrawn. Raises AishError."""
        token = token or secrets.token_hex(16)
        try:
            return await self._aish.ask_person(
                title, kind=kind, body=body, form=form, options=options, words=words, token=token
            )
        except asyncio.CancelledError:
            with contextlib.suppress(AishError, TimeoutError):
                async with asyncio.timeout(2.0):
                    await self._aish.withdraw(token)
            raise
