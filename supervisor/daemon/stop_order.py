"""In which order processes are stopped: who needs another before it, later places of a group before earlier ones,
models after who may use them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.model import kind
from aish.supervisor.daemon import strategy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.supervisor.daemon.row import Row


def levels(rows: Iterable[Row]) -> list[list[Row]]:
    """Those of a level may be stopped together, each level when the one before has ended. A circle is cut."""
    left = {row.id: row for row in rows}
    waits = _waits(left)
    found: list[list[Row]] = []
    while left:
        free = [row for row in left.values() if not waits[row.id] & left.keys()] or list(left.values())
        level = [row for row in free if row.spec.kind != kind.MODEL] or free
        for row in level:
            del left[row.id]
        found.append(level)
    return found


def _waits(rows: dict[str, Row]) -> dict[str, set[str]]:
    """id -> ids that must have ended before it is stopped."""
    named = {row.name: row.id for row in rows.values()}
    waits: dict[str, set[str]] = {id_: set() for id_ in rows}
    groups: dict[strategy.Key, list[Row]] = {}
    for row in rows.values():
        for need in row.spec.needs:
            needed = named.get(need.name)
            if needed is not None:
                waits[needed].add(row.id)
        key = strategy.key(row)
        if key is not None:
            groups.setdefault(key, []).append(row)
    for members in groups.values():
        for row in members:
            later = {other.id for other in members if strategy.place(other) > strategy.place(row)}
            waits[row.id] |= later
    return waits
