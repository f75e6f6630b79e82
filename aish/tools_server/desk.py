"""What the tools work with: the client of the supervisor, who asks, what is its own, and whom to tell of progress."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from aish.client.aio_line import AioLine
from aish.errors import AishError
from aish.tools_server import scope
from aish.tools_server.results import Process

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from aish.client import AsyncAish
    from aish.wire.part import ProcessPart
    from aish.wire.reply import Welcome

    Tell = Callable[[float, float | None, str], Awaitable[None]]

TELL_EVERY_S: Final = 5.0


class Desk:
    """One per server. `wanted`: the scope that was asked for; None: that of who asks."""

    def __init__(self, aish: AsyncAish, *, wanted: scope.Scope | None) -> None:
        self.aish = aish
        self.folder = os.getcwd()
        self.started: list[str] = []
        """Ids, in the order of their beginning."""
        self._wanted = wanted
        self._welcome: Welcome | None = None

    async def welcome(self) -> Welcome:
        """As whom this server acts; its place in the tree never changes."""
        if self._welcome is None:
            async with await AioLine(starts=True, program="mcp").open() as line:
                assert line.welcome is not None
                self._welcome = line.welcome
        return self._welcome

    async def scope(self) -> scope.Scope:
        return self._wanted or scope.default((await self.welcome()).standing)


class Call:
    """One call of a tool. `client` is how its program calls itself; `tell` is None where nobody wants to know."""

    def __init__(self, desk: Desk, client: str, tell: Tell | None = None) -> None:
        self.desk, self.aish, self.client, self._tell = desk, desk.aish, client, tell

    @property
    def labels(self) -> dict[str, str]:
        return scope.labels_of(self.client, self.desk.folder)

    async def own(self) -> set[str]:
        return scope.own(await self.aish.processes(all=True), self.labels)

    async def shown(self, row: ProcessPart) -> Process:
        return Process.of(row, mine=row.id in await self.own())

    async def row(self, target: str) -> ProcessPart:
        """Raises NotFoundError, RefusedError."""
        return (await self.aish.inspect(bare(target))).process

    async def check(self, what: str, row: ProcessPart) -> None:
        """Raises RefusedError where it is not for this client to control."""
        if await self.desk.scope() == scope.OWN and row.id not in await self.own():
            raise scope.refused(what, row)

    @contextmanager
    def telling(self, target: str, most_s: float) -> Iterator[None]:
        """Who wants to know is told at once, and then now and again, how it stands meanwhile."""
        if self._tell is None:
            yield
            return
        task = asyncio.ensure_future(self._told(self._tell, target, most_s))
        try:
            yield
        finally:
            task.cancel()

    async def _told(self, tell: Tell, target: str, most_s: float) -> None:
        begun_s = time.monotonic()
        while True:
            try:
                text = Process.of(await self.row(target), mine=False).line()
            except AishError as error:
                text = str(error)
            await tell(time.monotonic() - begun_s, most_s, text)
            await asyncio.sleep(TELL_EVERY_S)


def bare(target: str) -> str:
    return target.removeprefix("@")
