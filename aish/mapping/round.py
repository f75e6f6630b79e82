"""Which items run, wait, have ended and how. Pure: a table that is told what happened and asked what is next.

waiting -> running -> done          with status 0
                   -> waiting       failed, and may be tried again
                   -> failed
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WAITING: Final = "waiting"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
STATUS_MOST: Final = 101
"""Of the whole: more failed than an exit status can tell, as GNU parallel has it."""


@dataclass(slots=True)
class Job:
    """One item. `place` counts from 0, `attempts` those that have begun; `process` runs now, or ran last."""

    place: int
    item: str
    state: str = WAITING
    attempts: int = 0
    process: str | None = None
    status: int | None = None
    seconds: float | None = None
    why: str | None = None
    """Why it could not be started."""


@dataclass(slots=True)
class Round:
    """All items. `most`: so many at a time; `retries`: so often one that failed is tried again; `halt`: nothing more
    begins once one has failed for good."""

    jobs: list[Job]
    most: int
    retries: int = 0
    halt: bool = False
    stopped: bool = field(default=False)

    @classmethod
    def of(cls, items: Sequence[str], *, most: int, retries: int = 0, halt: bool = False) -> Round:
        return cls([Job(place, item) for place, item in enumerate(items)], most, retries, halt)

    def next(self) -> list[Job]:
        """Those to begin now: as many as have room, first those that were never tried."""
        room = self.most - self.count(RUNNING)
        if self.stopped or room <= 0:
            return []
        waiting = sorted((job for job in self.jobs if job.state == WAITING), key=lambda job: job.attempts)
        return waiting[:room]

    def began(self, job: Job, process: str) -> None:
        job.state, job.process, job.status = RUNNING, process, None
        job.attempts += 1

    def ended(self, job: Job, status: int, seconds: float | None) -> None:
        job.status, job.seconds = status, seconds
        if status == 0:
            job.state = DONE
        elif job.attempts <= self.retries and not self.stopped:
            job.state = WAITING
        else:
            job.state = FAILED
            self.stopped = self.stopped or self.halt

    def impossible(self, job: Job, status: int, why: str) -> None:
        """It could not be started, and trying again would not help."""
        job.state, job.status, job.why = FAILED, status, why
        self.stopped = self.stopped or self.halt

    def stop(self) -> None:
        """Nothing more begins, nothing is tried again."""
        self.stopped = True

    def count(self, state: str) -> int:
        return sum(job.state == state for job in self.jobs)

    @property
    def over(self) -> bool:
        return not self.count(RUNNING) and (self.stopped or not self.count(WAITING))

    @property
    def status(self) -> int:
        """0 where all are done, else how many are not, up to STATUS_MOST."""
        return min(len(self.jobs) - self.count(DONE), STATUS_MOST)

    def told(self) -> str:
        """Where it is, in one line."""
        words = [f"{self.count(DONE)}/{len(self.jobs)} done"]
        words += [f"{count} {state}" for state in (RUNNING, FAILED) if (count := self.count(state))]
        return ", ".join(words)


def in_order(jobs: Iterable[Job], printed: int) -> list[Job]:
    """Those whose output is next, where it is printed in the order of the items: all that have ended from `printed`
    on, up to the first that has not."""
    found = []
    for job in list(jobs)[printed:]:
        if job.state not in (DONE, FAILED):
            break
        found.append(job)
    return found
