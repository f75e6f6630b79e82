"""What a gateway has written down, by its files alone, while it runs or after it was killed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from aish.supervisor.gateway import redo
from aish.supervisor.gateway.redo import Left, Position
from aish.supervisor.gateway.row import INSERTED

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_S = 60


def left(path: Path | str) -> Left:
    """What the redo log has and the tables have not."""
    for _ in range(100):
        before = position(path)
        found = redo.look(str(path), before)
        if position(path) == before:
            return found
    raise AssertionError("its files never stood still")


def position(path: Path | str) -> Position:
    """Up to where the tables have what is in the redo log."""
    with closing(_open(path)) as db:
        (value,) = db.execute("SELECT value FROM meta WHERE key = 'redo'").fetchone()
    return msgspec.msgpack.decode(value, type=Position)


def ended(path: Path | str, where: str = "1") -> list[sqlite3.Row]:
    """All requests that ended, in the order of their numbers."""
    later = [row.values() for row, _ in left(path).ended]
    with closing(_open(path)) as db:
        db.row_factory = sqlite3.Row
        db.execute("CREATE TEMP TABLE later AS SELECT * FROM requests WHERE 0")
        db.executemany(f"INSERT INTO later {INSERTED}", later)
        both = (
            "SELECT * FROM requests UNION ALL SELECT * FROM later WHERE number NOT IN (SELECT number FROM requests)"
        )
        return db.execute(f"SELECT * FROM ({both}) WHERE {where} ORDER BY number").fetchall()


def _open(path: Path | str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=DEADLINE_S)
