"""A project's processes end, in stop order. Generators, as aish.client.asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.client.call import Call, ask
from aish.errors import NotFoundError, NotRunningError
from aish.model import state
from aish.model.nearest import nearest
from aish.project.plan import current
from aish.supervisor.daemon import stop_order
from aish.supervisor.daemon.row import Row
from aish.wire.message import Down, Inspect, Snapshot
from aish.wire.reply import Inspected, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.client.call import Asks
    from aish.wire.part import ProcessPart


def ending(path: str, names: Sequence[str]) -> Asks[list[ProcessPart]]:
    """Those that `down` would end, in stop order. Raises NotFoundError."""
    parts = yield from _living(path, names)
    rows = []
    for part in parts:
        spec = (yield from ask(Inspected, Inspect(target=part.id))).spec
        rows.append(Row(id=part.id, number=0, name=part.name, spec=spec, parent=part.parent, created_s=0.0))
    by_id = {part.id: part for part in parts}
    return [by_id[row.id] for level in stop_order.levels(rows) for row in level]


def down(path: str, names: Sequence[str], grace_s: float | None) -> Asks[list[ProcessPart]]:
    """Those that were ended, as they are now; returns when all have ended. Raises NotFoundError."""
    ids = [part.id for part in (yield from _living(path, names))]
    if not ids:
        return []
    yield Call(Down(project=path, grace_s=grace_s, targets=ids))
    rows = {row.id: row for row in (yield from ask(View, Snapshot(all=True))).processes}
    return [rows[id_] for id_ in ids if id_ in rows]


def _living(path: str, names: Sequence[str]) -> Asks[list[ProcessPart]]:
    try:
        rows = (yield from ask(View, Snapshot(all=True))).processes
    except NotRunningError:
        return []
    mine, _ = current(path, rows)
    for name in names:
        if name not in mine:
            near = nearest(name, mine)
            raise NotFoundError(f"{path} has no process {name}", hint=f"did you mean {near}?" if near else None)
    return [row for row in mine.values() if row.lifecycle not in state.ENDED and (not names or row.name in names)]
