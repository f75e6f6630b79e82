"""What is known of a process when somebody asks why: one immutable value. Pure."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import structs

from aish.model.exit import WANTED
from aish.model.size import format_bytes
from aish.model.state import BACKOFF, ENDED
from aish.supervisor.daemon.ring import Sample
from aish.supervisor.daemon.row import Row
from aish.wire.part import EventPart, ExitPart, RunPart

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT: Final = "event"
LOG: Final = "log"
MACHINE: Final = "machine"
GPU: Final = "gpu"
TABLE: Final = "table"


class Fact(msgspec.Struct, frozen=True):
    """One line of evidence; `source` is a word of this file. Without a time: of now, or of a log, which has none."""

    text: str
    source: str
    time_s: float | None = None


class Cause(msgspec.Struct, frozen=True):
    """What a rule found. `weight` ranks causes: 100 is certain and all, 0 is nothing."""

    rule: str
    weight: int
    sentences: tuple[str, ...]
    """Plain English about `it`; the first one stands alone."""
    facts: tuple[Fact, ...] = ()


class Holder(msgspec.Struct, frozen=True):
    """Who was promised, or uses, memory of a GPU. `program` is set for a stranger; None: may not be shown."""

    name: str
    bytes: int | None


class Device(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    memory_bytes: int
    free_bytes: int | None = None
    promised: tuple[Holder, ...] = ()
    strangers: tuple[Holder, ...] = ()
    trouble: str | None = None
    """Why nothing new may go there."""


class End(msgspec.Struct, frozen=True):
    """The end that is asked about: of the process, or of its run before this one."""

    exit: ExitPart
    at_s: float | None
    reason: str | None
    ran_s: float | None
    """None: it never ran."""
    by: str | None
    earlier: bool
    """It runs again by now."""

    @property
    def unseen(self) -> bool:
        """Nobody saw it end: `at_s` is when it was found gone, and nobody knows how long it ran."""
        return self.exit.code is None and self.exit.signal is None and self.exit.reason is None

    @property
    def began_s(self) -> float | None:
        return None if self.at_s is None or self.ran_s is None else self.at_s - self.ran_s


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    now_s: float
    row: Row
    word: str
    doing: str | None = None
    activity: str | None = None
    rss_bytes: int | None = None
    cpu_seconds: float | None = None
    events: tuple[EventPart, ...] = ()
    """Its own, oldest first."""
    runs: tuple[RunPart, ...] = ()
    """Those that are over, newest first."""
    others: Mapping[str, Row] = {}
    """By name and id: what it needs, and what that needs, and who owns its budget."""
    devices: tuple[Device, ...] = ()
    ahead: tuple[str, ...] = ()
    """Who is before it in the queue for GPUs."""
    log: tuple[str, ...] = ()
    """The last lines of its stderr (of its terminal or its one log, where it has that) up to the end that is asked
    about; made harmless."""
    samples: tuple[Sample, ...] = ()
    knows_from_s: float | None = None
    """From when on the machine was looked at."""
    forks_refused: int = 0
    """How often it could not fork at its limit of processes, in the run that it is at."""
    parent: Row | None = None
    next_run_s: float | None = None
    """When its schedule starts it next."""
    restart_in_s: float | None = None
    kill_in_s: float | None = None
    """When the grace is over."""

    @property
    def end(self) -> End | None:
        """The last end there was; None: it has not ended so far."""
        row = self.row
        if self.last_run is not None:
            return End(ExitPart(reason=self._reason), row.ended_s, None, None, row.ended_by, earlier=False)
        if row.lifecycle in ENDED or row.lifecycle == BACKOFF:
            run = self.runs[0] if self.runs else None
            ran = run is not None and run.started_s is not None
            ran_s = row.ended_s - run.started_s if ran and run is not None and row.ended_s and run.started_s else None
            by = run.ended_by if run is not None else row.ended_by
            return End(row.exit or ExitPart(), row.ended_s, row.reason, ran_s, by, earlier=False)
        if not self.runs:
            return None
        run = self.runs[0]
        ran_s = run.ended_s - run.started_s if run.ended_s and run.started_s else None
        return End(run.exit or ExitPart(), run.ended_s, run.reason, ran_s, run.ended_by, earlier=True)

    @property
    def last_run(self) -> Evidence | None:
        """Of one that was stopped between two runs, whose own end is another than that of its last run: the same as
        if that had been its end."""
        row, run = self.row, self.runs[0] if self.runs else None
        if row.lifecycle not in ENDED or self._reason not in WANTED or run is None or run.exit is None:
            return None
        if run.exit.reason == self._reason:
            return None
        before = structs.replace(row, exit=run.exit, reason=run.reason, ended_s=run.ended_s, ended_by=run.ended_by)
        return structs.replace(self, row=before)

    @property
    def _reason(self) -> str | None:
        return self.row.exit.reason if self.row.exit is not None else None

    def last(self, *kinds: str) -> EventPart | None:
        """Its latest event of these kinds."""
        return next((event for event in reversed(self.events) if event.kind in kinds), None)

    def ago(self, time_s: float | None) -> str:
        return "some time" if time_s is None else span(self.now_s - time_s)


def span(seconds: float) -> str:
    """A duration as people say it."""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} days"


def who(row: Row) -> str:
    return f"{row.name} ({row.id})"


def listed(words: list[str]) -> str:
    """a, b and c."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _figure(key: str, value: str | float) -> str:
    if key.endswith("_bytes") and isinstance(value, int):
        return f"{key.removesuffix('_bytes')}={format_bytes(value)}"
    return f"{key}={value}"


def fact(event: EventPart) -> Fact:
    """An event as a line of evidence."""
    detail = " ".join(_figure(key, value) for key, value in event.detail.items() if value is not None)
    return Fact(
        " ".join(filter(None, (event.kind, event.text, f"({detail})" if detail else ""))), EVENT, event.time_s
    )
