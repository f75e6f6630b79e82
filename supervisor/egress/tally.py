"""What passes through the proxy, by process and host: told to the daemon once a second while something does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec import structs

from aish.wire.egress import Passed

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_S: Final = 1.0


class Tally:
    """`tell` returns whether the daemon heard it: while it is away, what passes is kept for the next one."""

    def __init__(self, tell: Callable[[Passed], bool]) -> None:
        self._tell = tell
        self._untold: dict[tuple[str, str, int], Passed] = {}
        self._timer: asyncio.TimerHandle | None = None

    def count(self, passed: Passed) -> None:
        key = (passed.process, passed.host, passed.port)
        before = self._untold.get(key)
        if before is not None:
            passed = structs.replace(
                passed,
                connections=before.connections + passed.connections,
                sent_bytes=before.sent_bytes + passed.sent_bytes,
                received_bytes=before.received_bytes + passed.received_bytes,
            )
        self._untold[key] = passed
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._due)

    def flush(self, process: str | None = None) -> None:
        """Tell all that was not told, or what is of that process: it has ended, and is looked at now."""
        for key, passed in list(self._untold.items()):
            if process in (None, passed.process) and self._tell(passed):
                del self._untold[key]

    def _due(self) -> None:
        self._timer = None
        self.flush()
        if self._untold:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._due)
