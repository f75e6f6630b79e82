"""Which processes wait for a budget, and the word about it to the daemon: Hold, Release. One slot each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from aish.errors import StorageError
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.records import Records
from aish.wire.account import of_process
from aish.wire.link import Hold, Release

RAISED: Final = "raised"  # the budget lets it go on
DAY: Final = "day"  # another day has begun
WRAPUP: Final = "wrapup"  # a last message may be said
WINDOW: Final = "window"  # the usage window that it waited for has room
GIVEN_UP: Final = "given-up"  # nothing of it waits any more
_HOLDS: Final = "holds"
LONGER_S: Final = 60.0


@dataclass(slots=True)
class _HeldProcess:
    owner: str
    until_s: float | None
    numbers: set[int] = field(default_factory=set)


class HeldProcesses:
    """`tell` writes an event into its slot; raises StorageError."""

    def __init__(self, records: Records, tell: Callable[[str, Hold | Release], None]) -> None:
        self._records = records
        self._tell = tell
        self._held: dict[str, _HeldProcess] = {}

    def restore(self) -> None:
        """What was held died with the gateway. Raises StorageError."""
        for id, owner in self._kept():
            self._tell(f"hold/{id}", _release(id, owner, GIVEN_UP))
        self._records.set_meta(_HOLDS, b"[]")

    def _kept(self) -> list[tuple[str, str]]:
        """Who was held, and by whose budget."""
        try:
            return msgspec.json.decode(self._records.meta(_HOLDS) or b"[]", type=list[tuple[str, str]])
        except msgspec.DecodeError as error:
            log("records", f"who was held by a budget cannot be read: {error}")
            return []

    def clear(self) -> None:
        """All processes are others now."""
        self._held.clear()

    def hold(self, process: str, number: int, hold: Hold) -> None:
        """Request `number` waits, for what `hold` says."""
        held = self._held.get(process)
        if held is not None:
            held.numbers.add(number)
            if held.owner == hold.owner and not _longer(held.until_s, hold.until_s):
                return
            held.owner, held.until_s = hold.owner, hold.until_s
        else:
            self._held[process] = _HeldProcess(hold.owner, hold.until_s, {number})
        self._changed(process, hold)

    def by(self, owner: str) -> list[str]:
        """Who waits for it now."""
        return [process for process, held in self._held.items() if held.owner == owner]

    def release(self, process: str, number: int, why: str) -> None:
        """That request does not wait for an account any more."""
        held = self._held.get(process)
        if held is None:
            return
        held.numbers.discard(number)
        if not held.numbers:
            del self._held[process]
            self._changed(process, _release(process, held.owner, why))

    def _changed(self, process: str, event: Hold | Release) -> None:
        if not of_process(process):
            return
        try:
            self._tell(f"hold/{process}", event)
            holds = [(id, held.owner) for id, held in self._held.items() if of_process(id)]
            self._records.set_meta(_HOLDS, msgspec.json.encode(holds))
        except StorageError as error:
            log("records", f"the daemon is not told about {process}: {error}")


def _longer(before_s: float | None, until_s: float | None) -> bool:
    """Whether the daemon should know that it lasts longer than was told: by more than vendors' figures waver."""
    if until_s is None or before_s is None:
        return before_s is not until_s
    return until_s >= before_s + LONGER_S


def _release(id: str, owner: str, why: str) -> Release:
    return Release(number=0, id=id, owner=owner, raised=why != GIVEN_UP, why=why)
