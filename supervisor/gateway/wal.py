"""The write-ahead log of gateway.db, kept short. What is in it goes home, into the database, in checkpoints.

A checkpoint waits for the disk, so it has a thread and a connection of its own. But the log begins anew only where
nothing at all is left in it, and while that thread waits, the writer commits: under constant load it would never
end. So what little the thread left, the writer brings home itself, between two transactions.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING, Final

from aish.errors import StorageError
from aish.supervisor.gateway.log import log

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOK_S: Final = 1.0
WRITES: Final = 2000
MOST_BYTES: Final = 16 << 20
"""A longer one is brought home to its end, and cut to this. 1 to 2 ms of the writer's time on an SSD."""
_ROUNDS: Final = 2
"""The second brings home what was written during the first, which on a slow disk is much."""


class WriteAheadLog:
    """`db` is the writer's connection, which is free of transactions whenever `look` is called."""

    def __init__(self, path: str, db: sqlite3.Connection) -> None:
        self._path = path
        self._db = db
        self._checked = 0
        db.execute(f"PRAGMA journal_size_limit = {MOST_BYTES}")

    async def keep_short(self) -> None:
        """For as long as the gateway runs."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except StorageError as error:
                log("records", str(error))

    async def look(self) -> None:
        """Bring home what is in it, if that is much. Raises StorageError."""
        long = self._bytes() > MOST_BYTES
        if not long and self._db.total_changes - self._checked < WRITES:
            return
        self._checked = self._db.total_changes
        await asyncio.to_thread(checkpoint, self._path)
        if long:
            with _storage(self._path):  # PASSIVE, since that waits for no reader, as RESTART would
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _bytes(self) -> int:
        try:
            return os.stat(f"{self._path}-wal").st_size
        except OSError:  # none yet
            return 0


def checkpoint(path: str) -> None:
    """Bring home what was written until now; for a thread, since it waits for the disk. Raises StorageError."""
    with _storage(path), contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=1.0)) as db:
        for _ in range(_ROUNDS):
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")


@contextlib.contextmanager
def _storage(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"cannot write {path}: {error}") from error
