"""Many processes stopped in their order, until all of them have ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aish.errors import UnavailableError
from aish.supervisor.daemon import stop_order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.supervisor.daemon.conductor import Conductor
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.silence import Silence

KILL_WAIT_S: Final = 10.0
"""How long after SIGKILL a process may take to be gone."""


async def stop_all(
    conductor: Conductor, processes: Iterable[Process], grace_s: float | None = None, *, by: str
) -> None:
    """`by`: who wants it.

    Raises UnavailableError where one does not end; those that come after it in the order are not stopped then."""
    by_id = {process.id: process for process in processes}
    for level in stop_order.levels(process.row for process in by_id.values()):
        for row in level:
            conductor.stop(by_id[row.id], grace_s, by=by)
        for row in level:
            await gone(by_id[row.id], conductor.holding.silence, grace_s)


async def gone(process: Process, silence: Silence, grace_s: float | None = None) -> None:
    """Until it has ended. Raises UnavailableError where not even SIGKILL ends it, or the holder is silent."""
    row = process.row
    try:
        async with asyncio.timeout((row.spec.grace_s if grace_s is None else grace_s) + KILL_WAIT_S):
            while not row.ended:
                await process.change()
    except TimeoutError as error:
        silent = silence.behind()
        if silent is not None:
            raise UnavailableError(f"{row.name} ({row.id}, pid {row.pid}) does not end: {silent}") from error
        raise UnavailableError(
            f"{row.name} ({row.id}, pid {row.pid}) does not end, not even by SIGKILL",
            hint="it may hang in the kernel; the supervisor stays",
        ) from error
