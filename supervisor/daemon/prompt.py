"""The file that shells read for their prompt: what is going on, in one line, so that no prompt costs a process.

`pid=4711 running=3 queued=0 held=1 failed=1 asks=0`: words divided by blanks, values in digits; readers skip
what they do not know. `pid` is the daemon's: while /proc/PID is there the line is true, to a second.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.config import private_file
from aish.model import exit as exits
from aish.model import kind
from aish.model.state import ENDED, FAILED, LOST, PARKED, QUEUED, RUNNING, STARTING, STOPPING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from aish.supervisor.daemon.row import Row

NAME: Final = "prompt"
EVERY_S: Final = 1.0
"""At most so often."""
FAILED_S: Final = 600.0
"""For so long a failure is told: whoever looks away for longer asks `aish ps --all`."""
DRAFTS: Final = "drafts"
"""The next line is written there: the holder takes a name that leaves the runtime folder for a sign of a logout."""


class Counts(NamedTuple):
    running: int
    queued: int
    held: int
    failed: int


def count(rows: Iterable[Row], now_s: float) -> tuple[Counts, float | None]:
    """How many of what, and when (seconds since the epoch) the first of the failures is old enough. Pure."""
    running = queued = held = 0
    failures: list[float] = []
    for row in rows:
        if row.spec.kind == kind.SYSTEM:
            continue
        if row.lifecycle in ENDED:
            if row.ended_s is not None and row.ended_s > now_s - FAILED_S and failed(row):
                failures.append(row.ended_s)
        elif row.holds or row.lifecycle == PARKED:
            held += 1
        elif row.lifecycle in (RUNNING, STARTING, STOPPING):
            running += 1
        elif row.lifecycle == QUEUED:
            queued += 1
    return Counts(running, queued, held, len(failures)), min(failures) + FAILED_S if failures else None


def failed(row: Row) -> bool:
    """Whether it ended as nobody wanted, and nobody has seen: who has it at his terminal or in a pipeline knows."""
    end = row.exit
    if end is not None and end.reason in exits.WANTED:
        return False
    if end is None or row.lifecycle in (FAILED, LOST):
        return True
    seen = row.targets or row.spec.pty or row.adopted
    return end.reason not in (None, exits.DONE) or (not seen and (end.signal is not None or end.code != 0))


def line(pid: int, counts: Counts, asks: int) -> str:
    """Pure."""
    words = {"pid": pid, **counts._asdict(), "asks": asks}
    return " ".join(f"{name}={value}" for name, value in words.items()) + "\n"


class PromptFile:
    """`folder`, `rows` and `asks` (how many questions wait for a person) are called at each look. A disk
    that refuses is asked again at the next change."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        folder: Callable[[], str],
        rows: Callable[[], Iterable[Row]],
        asks: Callable[[], int],
    ) -> None:
        self._loop, self._folder, self._rows, self._asks = loop, folder, rows, asks
        self._written: tuple[str, str] | None = None
        self._next_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._old: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Something may be another: look, unless that was done within the last second; then once it is over."""
        if self._timer is None:
            self._timer = self._loop.call_at(max(self._next_s, self._loop.time()), self._look)

    def removed(self) -> None:
        """The file may be gone."""
        if self._written is not None and not os.path.exists(self._written[0]):
            self._written = None
            self.changed()

    def _look(self) -> None:
        self._timer = None
        self._next_s = self._loop.time() + EVERY_S
        now_s = time.time()
        counts, old_s = count(self._rows(), now_s)
        if self._old is not None:
            self._old.cancel()
        self._old = self._loop.call_later(max(EVERY_S, old_s - now_s), self.changed) if old_s is not None else None
        wanted = (os.path.join(self._folder(), NAME), line(os.getpid(), counts, self._asks()))
        if wanted != self._written and _replaced(*wanted):
            self._written = wanted

    def close(self) -> None:
        """Nobody keeps it true any more."""
        for timer in (self._timer, self._old):
            if timer is not None:
                timer.cancel()
        if self._written is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._written[0])


def _replaced(path: str, text: str) -> bool:
    drafts = os.path.join(os.path.dirname(path), DRAFTS)
    try:
        if not os.path.isdir(drafts):
            os.mkdir(drafts, 0o700)
        private_file.replace(path, text.encode("ascii"), draft=os.path.join(drafts, NAME))
    except OSError:
        return False
    return True
