"""What begins and what ends, written together: one transaction for all requests of one turn of the event loop.

begins    a row in `begun`, with the bound that was reserved; nothing is sent before it is committed. Where nothing
          else is under way it is so at once: there is nobody to be written with
dropped   that row goes: nothing was sent
ended     that row goes, and one with the final figures is added to `requests`, in the order of ending
sums      accounts, what models served and the events about both follow within SUMS_S, in one transaction with the
          number of the last row that is in them: a start adds to them the rows that came after it
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

from aish.errors import StorageError
from aish.supervisor.gateway.log import log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aish.supervisor.gateway.records import Records
    from aish.supervisor.gateway.row import Row
    from aish.supervisor.gateway.totals import Totals

SUMS_S: Final = (0.02, 0.2)
"""How long sums wait: after the first request for a while, and while there are more and more."""
_MAX_UNSAVED: Final = 10_000


class Journal:
    """One per gateway. `notify` is called when there are new events."""

    def __init__(self, records: Records, totals: Totals, notify: Callable[[], None]) -> None:
        self._records = records
        self._totals = totals
        self._notify = notify
        self._begun: list[tuple[Row, asyncio.Future[None]]] = []
        self._ended: list[Row] = []
        self._dropped: set[int] = set()
        """What began and is to be as if it had not."""
        self._places: dict[tuple[str, bytes], tuple[float, bytes]] = {}
        """Up to where logs of sessions are read: written together with what was found there."""
        self._under_way: set[int] = set()
        """Who has a row in `begun`."""
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._summed_s = 0.0
        """When the sums were written last."""

    def take_over(self, row: Row) -> None:
        """It has a row in `begun` from an earlier gateway, and is about to end."""
        self._under_way.add(row.number)

    def begin(self, row: Row) -> asyncio.Future[None] | None:
        """Done once the row is committed; None: it is. Raises StorageError."""
        if not self._scheduled and not self._under_way:
            self._records.put_begun_alone(row)
            self._under_way.add(row.number)
            return None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._begun.append((row, future))
        self._soon()
        return future

    def end(self, row: Row) -> None:
        """With its final figures, which are in the totals already."""
        self._ended.append(row)
        self._soon()
        if self._timer is None:
            wait_s = max(SUMS_S[0], self._summed_s + SUMS_S[1] - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self.flush)

    def drop(self, row: Row) -> None:
        """It began, and nothing of it is to stay."""
        self._dropped.add(row.number)
        self._soon()

    def place(self, log: tuple[str, bytes], seen_s: float, place: bytes) -> None:
        """Up to where the log of a process (its id, the path) is read: what ended in this turn came from there."""
        self._places[log] = seen_s, place
        self._soon()

    def _soon(self) -> None:
        # For all that begin and end until then; after the answer of a request that is alone, before those that wait
        # for each other (see outbox.py).
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._commit)

    def write(self) -> None:
        """Commit now what began and ended in this turn."""
        if self._scheduled:
            self._commit()

    def _commit(self) -> None:
        self._scheduled = False
        # Whose client has gone meanwhile does not begin.
        begun = [(row, future) for row, future in self._begun if not future.done()]
        self._begun.clear()
        if not begun and not self._ended and not self._places and not self._dropped:
            return
        try:
            with self._records.transaction():
                if begun:
                    self._records.put_begun([row for row, _ in begun])
                if self._ended or self._places or self._dropped:
                    self._put_ended()
        except StorageError as error:
            self._kept(error)
            for _, future in begun:
                future.set_exception(error)
            return
        self._forget_ended()
        for row, future in begun:
            self._under_way.add(row.number)
            future.set_result(None)

    def _put_ended(self) -> None:
        alone = [row for row in self._ended if row.number not in self._under_way]
        if alone:
            self._records.put_begun(alone)
        self._records.put_ended(self._ended)
        if self._dropped:
            self._records.drop_begun(self._dropped)
        for (process, path), (seen_s, place) in self._places.items():
            self._records.put_session(process, path, seen_s, place)

    def _forget_ended(self) -> None:
        for row in self._ended:
            self._under_way.discard(row.number)
        self._under_way -= self._dropped
        self._ended.clear()
        self._dropped.clear()
        self._places.clear()

    def _kept(self, error: StorageError) -> None:
        """What the disk does not take stays in memory and is tried again."""
        if self._ended:
            log("records", f"{error}; {len(self._ended)} settled requests are kept in memory")
            dropped = self._ended[:-_MAX_UNSAVED]
            self._under_way.difference_update(row.number for row in dropped)
            del self._ended[: len(dropped)]

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """One of the records, with everything in it that is not written yet. Raises StorageError."""
        with self._records.transaction():
            yield
            self._put_ended()
            told = self._totals.write()
            self._records.put_summed()
        self._forget_ended()
        self._totals.written()
        self._summed_s = time.monotonic()
        if told:
            self._notify()

    def flush(self) -> None:
        """Write what ended, and the sums."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._ended and not self._dropped and not self._totals.changed:
            return
        try:
            with self.transaction():
                pass
        except StorageError as error:
            self._kept(error)
