"""What begins and what ends, written down before anything comes of it: in the redo log at once, in the tables later.

begins    in the redo log (redo.py) before anything is sent, with the bound that was reserved
dropped   so that it is as if it had not begun: nothing was sent
ended     in the redo log by the end of this turn of the event loop, with the next beginning or before an answer goes
          out
rows      those of what ended, the sums of accounts and of what models served, and the events about them, follow
          within SUMS_S in one transaction, with the place in the redo log up to which the tables now have everything
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

from aish.errors import StorageError
from aish.supervisor.gateway import redo
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.redo import Begun, Dropped, Ended, Placed, encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aish.supervisor.gateway.records import Records
    from aish.supervisor.gateway.redo import Left
    from aish.supervisor.gateway.row import Row
    from aish.supervisor.gateway.totals import Totals

SUMS_S: Final = (0.02, 0.2)
"""How long rows wait: after the first request for a while, and while there are more and more."""
_MANY: Final = 512
"""As many rows do not wait: some 3 ms of the event loop."""
_MAX_UNSAVED: Final = 10_000
RETRY_S: Final = 1.0
"""How often who begins has the tables tried again that did not follow: that is much work for nothing."""


class Journal:
    """One per gateway. `notify` is called when there are new events."""

    def __init__(self, records: Records, totals: Totals, notify: Callable[[], None]) -> None:
        self._records = records
        self._redo = records.redo
        self._totals = totals
        self._notify = notify
        self._under_way: dict[int, bytes] = {}
        """Who began, as the redo log has it."""
        self._pending: list[bytes] = []
        """What the redo log has not yet."""
        self._ended: list[Row] = []
        """What the tables have not yet."""
        self._places: dict[tuple[str, bytes], Placed] = {}
        """Up to where logs of sessions are read: the same."""
        self._failed: StorageError | None = None
        """Why the tables do not follow: nobody begins until they do."""
        self._tried_s = 0.0
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._summed_s = 0.0
        """When the sums were written last."""

    def restore(self) -> Left:
        """Take over what an earlier gateway left: what ended is to be added to the totals, what is under way to be
        ended. Raises StorageError."""
        left = self._records.left()
        self._ended = [row for row, _ in left.ended]
        self._places = {(place.process, place.path): place for place in left.places}
        self._under_way = {number: encoded(Begun(row)) for number, row in left.under_way.items()}
        return left

    def begin(self, row: Row) -> None:
        """It is written when this returns. Raises StorageError: then it did not begin."""
        if self._failed is not None and time.monotonic() - self._tried_s >= RETRY_S:
            self.flush()
        if self._failed is not None:
            raise self._failed
        begun = encoded(Begun(row))
        self._redo.append([*self._pending, begun])
        self._pending.clear()
        self._under_way[row.number] = begun

    def end(self, row: Row) -> None:
        """With its final figures, which are in the totals already."""
        began = self._under_way.pop(row.number, None) is not None
        if self._failed is not None and not began and row.server is None:
            return  # it was refused for that: there would be more and more of these
        self._ended.append(row)
        self._then(Ended(row))
        self._sum_later()

    def drop(self, number: int) -> None:
        """If it began: nothing of that is to stay."""
        if self._under_way.pop(number, None) is not None:
            self._then(Dropped(number))

    def place(self, log: tuple[str, bytes], seen_s: float, place: bytes) -> None:
        """Up to where the log of a process (its id, the path) is read: what ended in this turn came from there."""
        placed = self._places[log] = Placed(*log, seen_s, place)
        self._then(placed)
        self._sum_later()

    def places(self) -> list[tuple[str, bytes, bytes]]:
        """Process, path of a log, and up to where that is read. Raises StorageError."""
        found = {(process, path): place for process, path, place in self._records.sessions()}
        found |= {log: placed.place for log, placed in self._places.items()}
        return [(*log, place) for log, place in found.items()]

    @property
    def unsaved(self) -> Sequence[Row]:
        """What the tables have not yet."""
        return self._ended

    def under_way(self) -> list[Row]:
        """What began and has not ended, as it began."""
        return [redo.begun(entry) for entry in self._under_way.values()]

    def _then(self, entry: Ended | Dropped | Placed) -> None:
        try:
            self._pending.append(encoded(entry))
        except StorageError as error:
            log("records", str(error))
        # For all that ends until then; after the answer of a request that is alone, before those that wait for each
        # other (see outbox.py).
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.write)

    def _sum_later(self) -> None:
        if self._timer is None:
            wait_s = max(SUMS_S[0], self._summed_s + SUMS_S[1] - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self.flush)

    def write(self) -> None:
        """Have in the redo log what ended in this turn."""
        self._scheduled = False
        if not self._pending:
            return
        try:
            self._redo.append(self._pending)
        except StorageError as error:
            self._kept(error)
            return
        self._pending.clear()
        if len(self._ended) >= _MANY:
            self.flush()

    def _kept(self, error: StorageError) -> None:
        """What the disk does not take stays in memory and is tried again."""
        log("records", f"{error}; {len(self._ended)} settled requests are kept in memory")
        del self._ended[:-_MAX_UNSAVED]

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """One of the records, with everything in it that is not written yet. Raises StorageError."""
        self.write()
        try:
            with self._records.transaction():
                yield
                told = self._put()
        except BaseException:
            self._redo.abandon()
            raise
        self._redo.adopt()
        self._failed = None
        self._ended.clear()
        self._places.clear()
        self._pending.clear()
        self._totals.written()
        self._summed_s = time.monotonic()
        if told:
            self._notify()

    def _put(self) -> bool:
        """Whether there are new events."""
        position = self._redo.position
        if self._redo.long or self._pending:  # which the log did not take: one without them takes its place
            try:
                position = self._redo.renew(list(self._under_way.values()))
            except StorageError as error:
                if self._pending:
                    raise
                log("records", f"the redo log stays long: {error}")
        for placed in self._places.values():
            self._records.put_session(placed)
        self._records.put_ended(self._ended)
        self._records.put_position(position)
        return self._totals.write()

    def flush(self) -> None:
        """Write the rows of what ended, and the sums."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        something = self._ended or self._places or self._pending or self._totals.changed or self._redo.long
        if not something and self._failed is None:
            return
        try:
            with self.transaction():
                pass
        except StorageError as error:
            self._failed = error
            self._tried_s = self._summed_s = time.monotonic()
            self._kept(error)
