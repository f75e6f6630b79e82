"""Where an agent's host meets the daemon: what it tells of itself, and what it asks the person."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING

from aish.agents.host import helper
from aish.client.aio import AsyncAish
from aish.client.aio_line import AioLine
from aish.client.aio_wait import readable
from aish.errors import AishError, DisconnectedError
from aish.wire import message as m

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from aish.agents.host.helper import Helper
    from aish.spi.agent_adapter import Command
    from aish.wire.question import AnswerPart, OptionPart


class Desk:
    """Tells the newest only, and to each daemon: one that dies takes what it was told with it. One that is away
    misses nothing but what is old by then."""

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
        line = AioLine(starts=False, program="agent")  # who ended the supervision does not want another
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                with contextlib.suppress(AishError):  # a view lacks a word: the work goes on
                    await self._stand(line)
        finally:
            line.close()

    async def _stand(self, line: AioLine) -> None:
        """Tell it, until there is news: again to a daemon that takes the place of the one that knew. Raises
        AishError."""
        while True:
            activity, doing = self._told
            try:
                if line.fileno() < 0:
                    await line.reconnect()
                await line.request(m.Tell(activity=activity, doing=doing))
            except DisconnectedError:
                line.close()
                continue
            if activity is None or not await self._gone(line):
                return
            line.close()

    async def _gone(self, line: AioLine) -> bool:
        """Once the daemon is; False: there is news before that."""
        waits = [asyncio.ensure_future(self._news.wait()), asyncio.ensure_future(readable([line.fileno()]))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return not waits[0].done()
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

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
