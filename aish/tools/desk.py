"""What the tools work with: the client of the supervisor, who asks, what is its own, and whom to tell of progress."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from aish.client.aio_line import AioLine
from aish.errors import AishError
from aish.tools import scope
from aish.tools.results import Process

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from aish.client import AsyncAish
    from aish.wire.part import ProcessPart
    from aish.wire.reply import Welcome

    Tell = Callable[[float, float | None, str], Awaitable[None]]

TELL_EVERY_S: Final = 5.0


class Desk:
    """One per server or turn. `wanted`: the scope that was asked for; None: that of who asks. `folder`: where what is
    started runs, and where agents are looked for; None: the current one. `program` is for the supervisor's log."""

    def __init__(
        self, aish: AsyncAish, *, wanted: scope.Scope | None, folder: str | None = None, program: str = "mcp"
    ) -> None:
        self.aish = aish
        self.folder = os.getcwd() if folder is None else folder
        self.started: list[str] = []
        """Ids, in the order of their beginning."""
        self._wanted, self._program = wanted, program
        self._welcome: Welcome | None = None

    async def welcome(self) -> Welcome:
        """As whom the tools act; its place in the tree never changes."""
        if self._welcome is None:
            async with await AioLine(starts=True, program=self._program).open() as line:
                assert line.welcome is not None
                self._welcome = line.welcome
        return self._welcome

    async def scope(self) -> scope.Scope:
        return self._wanted or scope.default((await self.welcome()).standing)


class Call:
    """One call of a tool. `client` is how its program calls itself; `tell` is None where nobody wants to know."""

    environ: Mapping[str, str] | None = None
    """All of what is started; None: that of here."""

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
