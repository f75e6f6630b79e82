"""What is written in one turn of the event loop goes out at its end, all of it in a row.

Every write to a peer that sleeps wakes it, which takes the writer as long as the rest of the write: where one process
has several things to tell in a turn, it is awake from the first of them on. With one request under way alone nothing
waits, for there is nothing to be written with. What waits does so for the turn's commit, too: who is answered then
has been counted, whatever dies at that moment.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LARGE_BYTES: Final = 16 << 10
"""What is larger goes at once, so that its writer sees at once whether it is read."""


class Outbox:
    """One per gateway. What is written to one transport through it stays in order. `before` is called before what was
    held is written."""

    __slots__ = ("_before", "_held", "under_way")

    def __init__(self, before: Callable[[], None] | None = None) -> None:
        self._before = before
        self._held: dict[asyncio.WriteTransport, list[bytes]] = {}
        self.under_way = 0
        """Requests of clients: whoever begins one adds it, and takes it away at its end."""

    def put(self, transport: asyncio.WriteTransport, parts: Sequence[bytes]) -> None:
        """To be written within this turn."""
        held = self._held
        if sum(map(len, parts)) > LARGE_BYTES:
            self.release(transport)
            transport.writelines(parts)
            return
        if not held and self.under_way < 2:
            _write(transport, parts)
            return
        if not held:
            asyncio.get_running_loop().call_soon(self.flush)
        before = held.get(transport)
        if before is None:
            held[transport] = list(parts)
        else:
            before += parts

    def holds(self, transport: asyncio.WriteTransport) -> bool:
        """Whether something for it is not written yet."""
        return transport in self._held

    def release(self, transport: asyncio.WriteTransport) -> None:
        """Write what there is for it, before it is written to or closed by others."""
        if self._held:
            _write(transport, self._held.pop(transport, ()))

    def flush(self) -> None:
        """Write all that there is. What is for a transport that was closed meanwhile reaches nobody."""
        if not self._held:
            return
        held, self._held = self._held, {}
        try:
            if self._before is not None:
                self._before()
        finally:
            for transport, parts in held.items():
                _write(transport, parts)


def _write(transport: asyncio.WriteTransport, parts: Sequence[bytes]) -> None:
    if parts and not transport.is_closing():
        transport.write(b"".join(parts))  # one piece is written at once; of several uvloop makes a request of its own
