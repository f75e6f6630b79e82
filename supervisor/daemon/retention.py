"""How much of a log is kept: the beginnings of its files are given back to the file system, by size or by age.

A hole is punched, so the child writes on, offsets stay, and nobody has to be told. What must stay is known by the
index: by size to the byte (then to whole blocks), by age to one interval.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.supervisor.daemon.logs import STREAMS
from aish.supervisor.holder import kernel
from aish.wire.log_index import RECORD_BYTES, Records, cut, kept_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.daemon.logs import Logs

BLOCK_BYTES: Final = 4096
SLACK: Final = 16
"""A log may have a sixteenth more than its size before anything is done about it; the same for its age."""
SOONEST_S: Final = 1.0


class Keep(NamedTuple):
    """None: that bound is none."""

    size_bytes: int | None = None
    age_s: float | None = None


class Retention:
    """`keep` tells what is wanted of a process; `cannot` is called once, where the file system gives nothing back."""

    def __init__(self, logs: Logs, keep: Callable[[str], Keep], cannot: Callable[[], None]) -> None:
        self._logs, self._keep, self._cannot = logs, keep, cannot
        self._loop = asyncio.get_running_loop()
        self._given: dict[str, tuple[int, int]] = {}
        """What has been given back of both files by this daemon."""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.able = True

    def look(self, id_: str) -> None:
        """Its log has grown, or may have got too old."""
        keep = self._keep(id_)
        if keep == Keep() or not self.able:
            return
        if keep.age_s is not None and id_ not in self._timers:
            self._later(id_, max(SOONEST_S, keep.age_s / SLACK))
        if keep.size_bytes is not None:
            kept_bytes = sum(self._sizes(id_)) - sum(self._given.get(id_, (0, 0)))
            if kept_bytes > keep.size_bytes + max(BLOCK_BYTES, keep.size_bytes // SLACK):
                self._cut(id_, keep)

    def forget(self, id_: str) -> None:
        self._given.pop(id_, None)
        timer = self._timers.pop(id_, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()

    def _later(self, id_: str, delay_s: float) -> None:
        self._timers[id_] = self._loop.call_later(delay_s, self._aged, id_)

    def _aged(self, id_: str) -> None:
        del self._timers[id_]
        keep = self._keep(id_)
        if keep.age_s is None:
            return
        due_s = self._cut(id_, keep)
        if due_s is not None:
            self._later(id_, max(due_s, SOONEST_S, keep.age_s / SLACK))

    def _cut(self, id_: str, keep: Keep) -> float | None:
        """Give back what is too much; in how many seconds something gets too old. None: nothing is left to."""
        records = self._records(id_)
        sizes = self._sizes(id_)
        oldest_ns = None if keep.age_s is None else time.time_ns() - int(keep.age_s * 1e9)
        out, err = (offset // BLOCK_BYTES * BLOCK_BYTES for offset in cut(records, sizes, keep.size_bytes, oldest_ns))
        before = self._given.get(id_, (0, 0))
        for stream, offset, gone in zip(STREAMS, (out, err), before, strict=True):
            if offset > gone and not _punch(self._logs.path(id_, stream), offset):
                self.able = False
                self._cannot()
                return None
        self._given[id_] = max(out, before[0]), max(err, before[1])
        first = kept_from(records, out, err)
        _punch(self._logs.index_path(id_), first * RECORD_BYTES // BLOCK_BYTES * BLOCK_BYTES)
        if oldest_ns is None or records.sizes(len(records) - 1) == records.sizes(records.until(oldest_ns) - 1):
            return None
        return (records.times[records.until(oldest_ns)] - oldest_ns) / 1e9

    def _sizes(self, id_: str) -> tuple[int, int]:
        out, err = (_size(self._logs.path(id_, stream)) for stream in STREAMS)
        return out, err

    def _records(self, id_: str) -> Records:
        records = Records()
        try:
            with open(self._logs.index_path(id_), "rb") as file:
                records.extend(file.read())
        except OSError:
            return records  # without an index nothing is old, and size counts stdout first
        return records


def _size(path: str) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_size
    except OSError:
        return 0


def _punch(path: str, length_bytes: int) -> bool:
    """Whether the first bytes of a file could be given back; there may be no such file."""
    if length_bytes == 0:
        return True
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        return kernel.punch(fd, length_bytes)
    finally:
        os.close(fd)
