"""Which part of a window a process, agent or key has used: an estimate, since vendors tell only the whole.

    part = used part of the window x what it took / what all took, of the requests that were recorded in this window

What is taken is weighed as the vendors' list prices do: what was read from a cache counts a tenth, an output token as
much as five of input. What the account is used for elsewhere nobody here sees: it is put on all in proportion, so
that a part is told too large rather than too small.
"""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aish.errors import StorageError
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.windows.ledger import SAME_PERIOD_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.supervisor.gateway.windows.ledger import Account, Window

FRESH_S: Final = 5.0
_TOOK: Final = "sum(input - 0.9 * cached + 5.0 * output)"


@dataclass(slots=True, frozen=True)
class _Taken:
    """Of one window. `by`: names of a process (its id, name, agent, key; its ancestors' ids) -> what they took."""

    began_s: float
    looked_s: float
    rows: tuple[tuple[frozenset[str], float], ...]

    def of(self, window: Window) -> bool:
        """Whether it is of the period that runs now: its end is told a little differently each time."""
        return window.began_s is not None and abs(window.began_s - self.began_s) < SAME_PERIOD_S

    def part(self, names: frozenset[str]) -> float | None:
        whole = sum(took for _, took in self.rows)
        return sum(took for known, took in self.rows if known & names) / whole if whole > 0 else None


class Parts:
    """`path`: gateway.db, read through a connection of its own, in a thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._taken: dict[tuple[Account, str], _Taken] = {}

    async def look(self, windows: Iterable[Window]) -> None:
        """Have what was taken of them at hand, not older than FRESH_S."""
        now_s = asyncio.get_running_loop().time()
        for window in windows:
            key, began_s = (window.account, window.name), window.began_s
            known = self._taken.get(key)
            if began_s is None or (known is not None and known.of(window) and now_s - known.looked_s < FRESH_S):
                continue
            try:
                rows = await asyncio.to_thread(_rows, self._path, window.account, began_s)
            except StorageError as error:
                log("records", f"shares are not known: {error}")
                continue
            self._taken[key] = _Taken(began_s, now_s, rows)

    def part(self, window: Window, names: frozenset[str]) -> float | None:
        """Of the whole window; None: it cannot be told. `names`: what the subject is called."""
        taken = self._taken.get((window.account, window.name))
        if taken is None or window.spent is None or not taken.of(window):
            return None
        part = taken.part(names)
        return None if part is None else window.spent * part


def _rows(path: str, account: Account, since_s: float) -> tuple[tuple[frozenset[str], float], ...]:
    """Raises StorageError."""
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=5.0)
        try:
            found = db.execute(
                f"SELECT process, name, agent, chain, {_TOOK} FROM requests WHERE time_s >= ? AND status IS NOT NULL"  # noqa: S608  constants
                " AND subscription = ? GROUP BY 1, 2, 3, 4",
                (since_s, str(account)),
            ).fetchall()
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    return tuple(
        (frozenset(filter(None, (process, name, agent, *chain.split()))), took or 0.0)
        for process, name, agent, chain, took in found
    )
