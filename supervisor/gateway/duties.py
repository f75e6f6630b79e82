"""Work that goes on as long as the gateway: if it ends by a fault, the gateway ends, and the daemon starts another.

A link or a probe that is dead in a gateway that lives looks like a daemon or a model that does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from aish.supervisor.gateway.log import log, place


class Duties:
    """`failed` is called once for every duty that ended by an error."""

    def __init__(self, failed: Callable[[], None]) -> None:
        self._failed = failed

    def begin(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """Whoever begins it cancels it."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log("fault", f"{task.get_name()} ended: {place(error)}")
            self._failed()
