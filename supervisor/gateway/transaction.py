"""One transaction of gateway.db, and what errors of the disk are to who writes. Classes, not generators: every
request enters some."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from aish.errors import StorageError


class Guard:
    """What `failure` knows is raised as that. One for all: it remembers nothing."""

    __slots__ = ("_failure",)

    def __init__(self, failure: Callable[[BaseException], StorageError | None]) -> None:
        self._failure = failure

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        failure = None if error is None else self._failure(error)
        if failure is not None:
            raise failure from error


class Transaction:
    """Everything inside happens, or nothing."""

    __slots__ = ("_db", "_guard")

    def __init__(self, db: sqlite3.Connection, guard: Guard) -> None:
        self._db, self._guard = db, guard

    def __enter__(self) -> None:
        with self._guard:
            self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._guard:
            try:
                if error is None:
                    self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:  # SQLite itself rolls back on some errors
                    self._db.execute("ROLLBACK")
        self._guard.__exit__(kind, error, trace)
