"""What a table on disk says should run, where no daemon is there to ask: read, and nothing done about it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from aish.model import kind
from aish.supervisor.daemon import proc
from aish.supervisor.daemon.row import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

ENDED: Final = ("exited", "failed", "lost")
NAMED_MOST: Final = 5


def running(path: str, boot_id: str) -> list[Row]:
    """Rows of this boot that have begun and not ended. Empty where the table cannot be read."""
    marks = ",".join("?" * len(ENDED))
    query = f"SELECT row FROM processes WHERE lifecycle NOT IN ({marks}) ORDER BY number"  # noqa: S608  no values
    if not os.path.exists(path):
        return []
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=0.5)) as db:
            found = [msgspec.msgpack.decode(blob, type=Row) for (blob,) in db.execute(query, ENDED)]
    except (sqlite3.Error, msgspec.DecodeError):
        return []
    return [row for row in found if row.pid is not None and row.boot_id == boot_id and row.spec.kind != kind.SYSTEM]


def told(rows: Sequence[Row]) -> str | None:
    """What a person should know of them; None: nothing."""
    if not rows:
        return None
    shown = [f"{row.name} ({row.id}, pid {row.pid} {_how(row)})" for row in rows[:NAMED_MOST]]
    more = f" and {len(rows) - NAMED_MOST} more" if len(rows) > NAMED_MOST else ""
    return (
        f"no supervisor runs, and by its table these should be supervised: {', '.join(shown)}{more}; "
        "`aish ps -a` starts it, and it takes up again what lives"
    )


def _how(row: Row) -> str:
    place = proc.stat(row.pid or 0)
    same = place is not None and place.start_ticks == row.start_ticks and not proc.ended(row.pid or 0)
    return "lives" if same else "has ended"
