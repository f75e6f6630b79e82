"""How much a process has written, when, how fast, and what of it is gone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.client import follow
from aish.client.call import Breath
from aish.client.interleave import STREAMS

if TYPE_CHECKING:
    from aish.client.call import Asks
    from aish.client.logreader import LogReader

RATE_S: Final = 60
_BREATH_BYTES: Final = 8 << 20
"""How much is read before others have a turn: a few milliseconds."""


class StreamStats(NamedTuple):
    """What was written to one stream."""

    size_bytes: int
    lines: int
    """Those that are still there."""
    given_back_bytes: int
    """Of its beginning, as its retention wanted it."""


class LogStats(NamedTuple):
    """The log of one process in figures."""

    id: str
    name: str
    stdout: StreamStats
    stderr: StreamStats | None
    """None: the log is ordered, and both are counted as stdout."""
    bytes_per_s: float | None
    """Of the last minute; None: nobody has looked."""
    first_s: float | None
    """When something was first written, in seconds since the epoch; None: nothing yet, or nobody knows."""
    last_s: float | None


def counted(id: str, name: str, log: LogReader, now_s: float, *, mixed: bool) -> Asks[LogStats]:
    """`mixed`: nobody knows which line is of which stream."""
    records, sizes = log.records, log.sizes()
    streams: list[StreamStats] = []
    for stream in STREAMS:
        fd, size = log.tails[stream].fd, sizes[stream - 1]
        start = min(size, follow.data_start(fd, 0)) if size else 0
        lines = 0
        for at in range(start, size, _BREATH_BYTES):
            lines += follow.newlines(fd, at, min(size, at + _BREATH_BYTES))
            yield Breath()
        streams.append(StreamStats(size, lines + _partial(fd, size), start))
    before = sum(records.sizes(records.until(int((now_s - RATE_S) * 1e9)) - 1))
    first = next((number for number in range(len(records)) if any(records.sizes(number))), None)
    last_ns = (log.changed_ns() if log.unindexed_at_end() else _last_ns(log)) if any(sizes) else None
    return LogStats(
        id=id,
        name=name,
        stdout=streams[0],
        stderr=None if mixed else streams[1],
        bytes_per_s=(sum(sizes) - before) / RATE_S if len(records) else None,
        first_s=None if first is None else records.times[first] / 1e9,
        last_s=None if last_ns is None else last_ns / 1e9,
    )


def _last_ns(log: LogReader) -> int:
    """When the record was made that first had the files at their size."""
    records = log.records
    number = len(records) - 1
    while number > 0 and records.sizes(number - 1) == records.sizes(number):
        number -= 1
    return records.times[number]


def _partial(fd: int, size: int) -> int:
    return int(size > 0 and os.pread(fd, 1, size - 1) not in (b"\n", b"\0"))
