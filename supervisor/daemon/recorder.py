"""What happened, numbered, on its way into the journal; and what to do when the disk says no.

Changes of one turn of the loop go into one transaction. An intent (`promise`) is written at once or not at all: who
asked gets the StorageError and nothing was started. Everything else has happened already, so it stays in memory
until the journal takes it, an alert says so in every view, and what must not happen before (the holder may forget
an exit) waits with it.
"""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from msgspec import structs

from aish.errors import StorageError
from aish.supervisor.daemon import runs
from aish.supervisor.daemon.journal import LAST_NUMBER, CorruptError
from aish.supervisor.daemon.sieve import ALL, Sieve
from aish.wire.part import EventPart, RunPart

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, TimerHandle
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from aish.supervisor.daemon.journal import Journal
    from aish.supervisor.daemon.row import Row
    from aish.supervisor.daemon.told import Told
    from aish.wire.mail import MailPart
    from aish.wire.question import QuestionPart

RETRY_S: Final = 2.0
RING: Final = 2048
TRIM_EVERY: Final = 10_000
CHECKPOINT_EVERY: Final = 500
"""Transactions of some three pages: the WAL stays at a few MB."""
WAITING_EVENTS: Final = 10_000
"""Beyond this, with a journal that does not write, the oldest unwritten events are dropped."""

Detail = str | int | float | None


class Recorder:
    """The only way into the journal. `journal` is None while none can be opened: then nothing can be promised.

    `reopen` is tried again and again then, and once it gives a journal, all of `rows` goes there.
    """

    def __init__(
        self,
        journal: Journal | None,
        loop: AbstractEventLoop,
        why_none: StorageError | None = None,
        *,
        reopen: Callable[[], Journal],
        rows: Callable[[], Iterable[Row]],
        past: Sequence[EventPart] = (),
        past_runs: Mapping[int, Sequence[RunPart]] | None = None,
        told: Told | None = None,
    ) -> None:
        self.journal = journal
        self._past_runs = past_runs or {}
        self.ring: deque[EventPart] = deque(past, maxlen=RING)
        self.failure: StorageError | None = why_none
        self.listeners: set[Callable[[EventPart], None]] = set()
        self._loop = loop
        last = journal.last_event() if journal is not None else past[-1].number if past else 0
        self._number = max(last, told.number() if told is not None else 0)
        self._ring_start = past[0].number - 1 if past else self._number
        self._told = told
        self._trimmed = 0
        self._saves = 0
        self._checkpoint: Future[None] | None = None
        self._dirty: dict[str, Row] = {}
        self._events: deque[EventPart] = deque(maxlen=WAITING_EVENTS)
        self._runs: deque[tuple[int, RunPart]] = deque(maxlen=WAITING_EVENTS)
        self._meta: dict[str, str] = {}
        self._questions: dict[tuple[str, str], QuestionPart | None] = {}
        self._mail: dict[int, tuple[str, MailPart | None]] = {}
        self._gone: set[int] = set()
        """Numbers of forgotten processes that are still in the journal."""
        self._after: list[Callable[[], None]] = []
        self._scheduled = False
        self._retry: TimerHandle | None = None
        self._reopen, self._rows = reopen, rows
        if journal is None:
            self._retry = loop.call_later(RETRY_S, self._again)

    @property
    def last_number(self) -> int:
        return self._number

    def event(self, kind: str, row: Row | None = None, text: str = "", **detail: Detail) -> EventPart:
        """Note a fact: shown to followers now, written with the turn's other changes."""
        event = self._make(kind, row, text, detail)
        self._events.append(event)
        self._publish(event)
        self._schedule()
        return event

    def run(self, row: Row) -> None:
        """The run that it is at has ended: into its history, once."""
        if row.runs_noted < runs.number(row):
            row.runs_noted = runs.number(row)
            self._runs.append((row.number, runs.run_of(row, over=True)))
            self.change(row)

    def change(self, row: Row, after: Callable[[], None] | None = None) -> None:
        """`row` is to be written; `after` is called once it is (in this turn or when the disk is back)."""
        self._dirty[row.id] = row
        if after is not None:
            self._after.append(after)
        self._schedule()

    def question(self, process: str, token: str, part: QuestionPart | None) -> None:
        """What is asked, or was answered; None: it is gone."""
        self._questions[process, token] = part
        self._schedule()

    def mail(self, number: int, token: str, part: MailPart | None) -> None:
        """A message as it is now; None: it is gone."""
        self._mail[number] = token, part
        self._schedule()

    def note(self, key: str, value: str, after: Callable[[], None] | None = None) -> None:
        """A value of the table itself is to be written."""
        self._meta[key] = value
        if after is not None:
            self._after.append(after)
        self._schedule()

    def noted(self, key: str) -> str | None:
        """Such a value; None where there is none, or nothing can be read."""
        if key in self._meta or self.journal is None:
            return self._meta.get(key)
        return self.journal.meta(key)

    def promise(self, row: Row, kind: str, text: str = "", **detail: Detail) -> None:
        """Write an intent, with all that waits. Raises StorageError; then the intent was not noted anywhere."""
        self._ask_disk()
        self._promise(self._make(kind, row, text, detail), (row,), {})

    def promise_all(self, rows: Sequence[Row], meta: dict[str, str], kind: str, text: str) -> None:
        """The same of several, as they are to be from now on, and of values of the table itself."""
        self._ask_disk()
        self._promise(self._make(kind, None, text, {}), rows, meta)

    def _ask_disk(self) -> None:
        """Somebody waits: where there is no journal it is looked for now, and not when its time has come."""
        if self.journal is None:
            self._again()

    def _promise(self, event: EventPart, rows: Sequence[Row], meta: dict[str, str]) -> None:
        try:
            if self.journal is None:
                raise self.failure or StorageError("the process table cannot be opened")
            self._save(self.journal, rows, (event,), meta)
        except StorageError as error:
            self._number = event.number - 1
            if self.journal is not None:
                self._failed(error)
            raise
        self._saved()
        self._publish(event)

    def flush(self) -> bool:
        """Write all that waits; False (and an alert) if the disk refuses."""
        if not (
            self._dirty or self._events or self._meta or self._questions or self._mail or self._gone or self._after
        ):
            return True
        if self.journal is None:
            return False  # the holder keeps its exits until there is one
        try:
            self._save(self.journal)
        except StorageError as error:
            self._failed(error)
            return False
        self._saved()
        return True

    def _save(
        self,
        journal: Journal,
        rows: Sequence[Row] = (),
        events: Sequence[EventPart] = (),
        meta: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """All that waits, and these. Raises StorageError."""
        changed = [*self._dirty.values(), *rows]
        mail = [(number, token, part) for number, (token, part) in self._mail.items()]
        questions = [(process, token, part) for (process, token), part in self._questions.items()]
        journal.save(
            changed, [*self._events, *events], {**self._meta, **meta}, self._runs, self._gone, questions, mail
        )

    def after(self, number: int, limit: int, sieve: Sieve = ALL) -> Sequence[EventPart]:
        """At most `limit` events after `number`: from memory if they are there, else from the journal."""
        if number >= self._ring_start or self.journal is None:
            return [event for event in self.ring if event.number > number and sieve.takes(event)][:limit]
        unwritten = [] if self.flush() else [e for e in self._events if e.number > number and sieve.takes(e)]
        return [*self.journal.events(number, limit, sieve), *unwritten][:limit]

    def before(self, number: int, limit: int, sieve: Sieve = ALL) -> Sequence[EventPart]:
        """The newest events before `number`, in order."""
        if self._ring_start == 0 or self.journal is None or self.failure is not None:
            return [event for event in self.ring if event.number < number and sieve.takes(event)][-limit:]
        self.flush()
        return self.journal.before(number, limit, sieve)

    def latest(self, process: str, limit: int) -> Sequence[EventPart]:
        """The newest events of a process, in order."""
        return self.before(self._number + 1, limit, Sieve(process))

    def history(self, row: Row, last: int) -> list[RunPart]:
        """Its last runs that are over, the newest first."""
        self.flush()
        unwritten = [run for number, run in self._runs if number == row.number][::-1]
        past = self._past_runs.get(row.number, ())
        kept = past if self.journal is None else self.journal.runs(row.number, last)
        return [*unwritten, *kept][:last]

    def forget(self, rows: Iterable[Row], last_number: int) -> None:
        """Ended processes have left the table: so do their rows, at once or when the disk is back."""
        for row in rows:
            self._dirty.pop(row.id, None)
            self._gone.add(row.number)
        self._meta[LAST_NUMBER] = str(last_number)
        self.flush()

    def close(self) -> None:
        if self.journal is None and self._retry is not None:
            self._retry.cancel()
            self._again()  # a last try
        self.flush()
        if self._retry is not None:
            self._retry.cancel()
        if self._checkpoint is not None:
            self._checkpoint.cancel()  # it may end by itself; nothing comes after it
        if self.journal is not None:
            self.journal.close()

    def _make(self, kind: str, row: Row | None, text: str, detail: dict[str, Detail]) -> EventPart:
        self._number += 1
        return EventPart(
            number=self._number,
            time_s=time.time(),
            kind=kind,
            process=row.id if row is not None else None,
            name=row.name if row is not None else None,
            text=text,
            detail=detail,
        )

    def _publish(self, event: EventPart) -> None:
        if len(self.ring) == RING:
            self._ring_start = self.ring[0].number
        self.ring.append(event)
        if self.failure is not None and self._told is not None:
            self._told.note(self._number)
        for listener in tuple(self.listeners):
            listener(event)

    def _schedule(self) -> None:
        if not self._scheduled and self._retry is None:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        self.flush()

    def _saved(self) -> None:
        self._dirty.clear()
        self._events.clear()
        self._runs.clear()
        self._meta.clear()
        self._questions.clear()
        self._mail.clear()
        self._gone.clear()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._saves += 1
        if self._saves >= CHECKPOINT_EVERY and self._checkpoint is None and self.journal is not None:
            self._saves = 0
            self._checkpoint = self._loop.run_in_executor(None, self.journal.checkpoint)
            self._checkpoint.add_done_callback(partial(self._checkpointed, self.journal))
        if self._number - self._trimmed > TRIM_EVERY and self.journal is not None:
            self._trimmed = self._number
            self._trim(self.journal)
        after, self._after = self._after, []
        for call in after:
            call()
        if self.failure is not None:
            self.failure = None
            self.event("storage-back", text="the process table is written again")

    def _trim(self, journal: Journal) -> None:
        """Old events go. That they cannot is no failure of what has just been written: it is tried again later."""
        try:
            journal.trim(self._number)
        except StorageError as error:
            self.event("storage-failed", text=f"old events stay: {error}")

    def _checkpointed(self, journal: Journal, done: Future[None]) -> None:
        self._checkpoint = None
        if done.cancelled() or journal is not self.journal:
            return
        try:
            done.result()
            journal.shorten()
        except StorageError as error:
            self._failed(error)  # the next write will say so, too, or mend it

    def _failed(self, error: StorageError) -> None:
        if isinstance(error, CorruptError) and self.journal is not None:
            self.journal.close()  # damaged under our hands: the next try moves it aside and writes all anew
            self.journal = None
        news = self.failure is None
        self.failure = self.failure or error
        if self._retry is None:
            self._retry = self._loop.call_later(RETRY_S, self._again)
        if news:
            self.event("storage-failed", text=str(error))

    def _renumber(self, there: int) -> None:
        """Events noted without a journal come after those that are in it: they do already, unless nothing could be
        read of it."""
        first = self._events[0].number if self._events else self._number + 1
        further = max(0, there + 1 - first)
        if not further:
            return
        for kept in (self._events, self.ring):
            renumbered = [structs.replace(event, number=event.number + further) for event in kept]
            kept.clear()
            kept.extend(renumbered)
        self._number += further
        self._ring_start += further

    def _again(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self.journal is None:
            try:
                self.journal = self._reopen()
            except StorageError as error:
                self._failed(error)
                return
            self._past_runs = {}
            self._renumber(self.journal.last_event())
            self._dirty |= {row.id: row for row in self._rows()}
        self.flush()
