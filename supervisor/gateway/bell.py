"""Wakes everybody who waits for a change, without telling which: each looks again whether it concerns him."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Bell:
    """One per gateway: rung when members, servers or the link changed."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()
        self._listeners: list[Callable[[], None]] = []

    def tell(self, listener: Callable[[], None]) -> None:
        """Call it at every ring."""
        self._listeners.append(listener)

    def ring(self) -> None:
        for listener in self._listeners:
            listener()
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def wait_until(self, deadline_s: float | None) -> bool:
        """Wait for the next ring; False when the deadline (on the loop's clock; None: no deadline) passed first."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.add(future)
        try:
            async with asyncio.timeout_at(deadline_s):
                await future
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(future)
        return True
