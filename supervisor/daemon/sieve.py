"""Which events are wanted. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from aish.wire.part import EventPart

SqlValue = str | float


class Sieve(msgspec.Struct, frozen=True):
    """What is set must all be met."""

    process: str | None = None
    """Its id."""
    since_s: float | None = None
    kinds: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    """Names or ids."""

    def takes(self, event: EventPart) -> bool:
        return (
            (self.process is None or event.process == self.process)
            and (self.since_s is None or event.time_s >= self.since_s)
            and (not self.kinds or event.kind in self.kinds)
            and (not self.names or event.name in self.names or event.process in self.names)
        )

    def sql(self) -> tuple[str, list[SqlValue]]:
        """The same as a condition of SQLite, with its values; each part of it begins with AND."""
        parts: list[str] = []
        values: list[SqlValue] = []
        if self.process is not None:
            parts.append("AND process = ?")
            values.append(self.process)
        if self.since_s is not None:
            parts.append("AND time_s >= ?")
            values.append(self.since_s)
        if self.kinds:
            parts.append(f"AND kind IN ({_places(self.kinds)})")
            values += sorted(self.kinds)
        if self.names:
            places = _places(self.names)
            parts.append(f"AND (name IN ({places}) OR process IN ({places}))")
            values += sorted(self.names) * 2
        return " ".join(parts), values


ALL: Final = Sieve()


def _places(words: frozenset[str]) -> str:
    return ",".join("?" * len(words))
