"""A program's lines one by one, while questions that it asked are open: neither waits for the other."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aish.errors import AishError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from typing import Any


class Exchange:
    """What fails in an answering ends the reading: it is the turn's failure."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self._reading: asyncio.Future[str] | None = None
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open: dict[str, asyncio.Task[None]] = {}

    async def line(self, timeout_s: float | None = None) -> str | None:
        """The next one; None at the end. Raises TimeoutError, which loses nothing, and what an answering raised."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._lines.__anext__())
        done, _ = await asyncio.wait(
            (self._reading, self._failed), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        if self._failed in done:
            self._failed.result()
        if self._reading not in done:
            raise TimeoutError
        reading, self._reading = self._reading, None
        try:
            return reading.result()
        except StopAsyncIteration:
            return None

    async def drain(self, within_s: float) -> None:
        """Let a program whose turn is over write down what is its own, for so long; what it says is no news."""
        with contextlib.suppress(TimeoutError, AishError):
            async with asyncio.timeout(within_s):
                while await self.line() is not None:
                    pass

    def answering(self, id: str, work: Coroutine[Any, Any, None]) -> None:
        """Let a question be answered; `id` is the asker's word for it."""
        self.withdraw(id)
        task = asyncio.ensure_future(work)
        self._open[id] = task
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._open = {id: other for id, other in self._open.items() if other is not task}
        if not task.cancelled() and (error := task.exception()) is not None and not self._failed.done():
            self._failed.set_exception(error)

    def withdraw(self, id: str) -> None:
        """Nobody wants to know any more."""
        if id in self._open:
            self._open.pop(id).cancel()

    @property
    def asking(self) -> bool:
        return bool(self._open)

    async def close(self) -> None:
        tasks: list[asyncio.Future[Any]] = [
            *self._open.values(),
            *([self._reading] if self._reading is not None else []),
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._failed.done():
            self._failed.exception()  # it was heard, or there is no turn any more that it could end
