"""The history of a process: each of its runs as it is kept. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aish.supervisor.daemon.clock import TICKS_PER_S
from aish.wire.part import RunPart

if TYPE_CHECKING:
    from aish.supervisor.daemon.row import Row

KEPT: Final = 100
"""Runs of each process that are kept; as long as the process is in the table."""
POLICY: Final = "its restart policy"
USER: Final = "the user"
GROUP: Final = "its group"
SCHEDULE: Final = "its schedule"
WINDOW: Final = "a usage window"


def number(row: Row) -> int:
    """Of the run that it is at, or will begin."""
    return row.runs + 1


def run_of(row: Row, *, over: bool) -> RunPart:
    """The run that it is at; `over`: that has just ended, or came to nothing."""
    ran = row.pid is not None or not row.spec.argv
    signal = row.exit.signal if row.exit is not None else None
    sent_by = row.signalled[1] if row.signalled is not None and row.signalled[0] == signal else None
    return RunPart(
        number=number(row),
        started_s=row.started_s if ran else None,
        ended_s=row.ended_s if over else None,
        pid=row.pid,
        exit=row.exit if over else None,
        reason=row.reason,
        begun_by=row.begun_by,
        ended_by=row.ended_by or sent_by,
        cpu_seconds=row.cpu_seconds if ran and over else None,
        max_rss_bytes=row.max_rss_bytes if ran and over else None,
    )


def next_begins(row: Row, by: str) -> None:
    """What was noted of the run before is not of the next one."""
    row.begun_by, row.next_by = row.next_by or by, None
    row.ended_by = row.signalled = None


def ran_s(row: Row, now_boot_s: float) -> float:
    """For how long it has worked: this run, which is of this boot, and before it was parked."""
    return row.worked_s + (now_boot_s - row.start_ticks / TICKS_PER_S if row.start_ticks is not None else 0.0)
