"""What passes through the proxy, by process and host: told to the daemon once a second while something does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec import structs

from aish.wire.egress import HOSTS_MOST, Passed

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_S: Final = 1.0


class Tally:
    """`tell` returns whether the daemon heard it: while it is away, what passes is kept for the next one, of each
    process for as many hosts as the daemon keeps by their names."""

    def __init__(self, tell: Callable[[Passed], bool]) -> None:
        self._tell = tell
        self._untold: dict[str, dict[tuple[str | None, int | None], Passed]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def count(self, passed: Passed) -> None:
        places = self._untold.setdefault(passed.process, {})
        if (passed.host, passed.port) not in places and len(places) >= HOSTS_MOST:
            passed = structs.replace(passed, host=None, port=None)
        place = (passed.host, passed.port)
        before = places.get(place)
        if before is not None:
            passed = structs.replace(
                passed,
                connections=before.connections + passed.connections,
                sent_bytes=before.sent_bytes + passed.sent_bytes,
                received_bytes=before.received_bytes + passed.received_bytes,
            )
        places[place] = passed
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._due)

    def flush(self, process: str | None = None) -> None:
        """Tell all that was not told, or what is of that process: it has ended, and is looked at now."""
        for id_ in list(self._untold) if process is None else [process]:
            left = {place: each for place, each in self._untold.pop(id_, {}).items() if not self._tell(each)}
            if left:
                self._untold[id_] = left

    def _due(self) -> None:
        self._timer = None
        self.flush()
        if self._untold:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._due)
