"""The index of a log: when stdout's and stderr's files had which size. The daemon writes it, clients read it.

A record says: at `time` (ns since the epoch) the two files had these sizes. What lies between the sizes of two
records was written between their times; more than that nobody knows, and nobody claims. Pure.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

INTERVAL_S: Final = 0.1
"""While a process writes there are ten records a second; while it does not, none."""
INTERVAL_NS: Final = 100_000_000
RECORD_BYTES: Final = 24
_RECORD: Final = struct.Struct("=QQQ")  # read on the machine that wrote it


def pack(time_ns: int, out: int, err: int) -> bytes:
    return _RECORD.pack(time_ns, out, err)


def unpack(record: bytes) -> tuple[int, int, int]:
    time_ns, out, err = _RECORD.unpack(record)
    return time_ns, out, err


class Records:
    """The records in order, as columns. Whatever is in the file, times and sizes never decrease here: a clock that
    was set back, or a damaged record, makes an interval wider and nothing else."""

    __slots__ = ("errs", "outs", "times")

    def __init__(self) -> None:
        self.times = array("Q")
        self.outs = array("Q")
        self.errs = array("Q")

    def __len__(self) -> int:
        return len(self.times)

    def extend(self, data: bytes) -> None:
        """Whole records of a file, from one of its record boundaries on. Zeros are what a punched hole reads as."""
        fields = array("Q")
        fields.frombytes(data[: len(data) - len(data) % RECORD_BYTES])
        first = 0
        while first < len(fields) and fields[first] == 0:
            first += 3
        columns = (self.times, self.outs, self.errs)
        for number, column in enumerate(columns):
            column.extend(_rising(fields[first + number :: 3], column[-1] if column else 0))

    def time(self, number: int) -> int | None:
        """Of a record; None before the first."""
        return self.times[number] if number >= 0 else None

    def sizes(self, number: int) -> tuple[int, int]:
        """Of both files at a record; nothing before the first."""
        return (self.outs[number], self.errs[number]) if number >= 0 else (0, 0)

    def since(self, time_ns: int) -> int:
        """The first segment that may hold something written at `time_ns` or later. (Segment n ends at record n; the
        one behind the last record is what has no record yet.)"""
        return bisect_left(self.times, time_ns)

    def until(self, time_ns: int) -> int:
        """The last segment that may hold something written at `time_ns` or before."""
        return bisect_right(self.times, time_ns)

    def total(self, number: int) -> int:
        return self.outs[number] + self.errs[number]


def _rising(values: Iterable[int], least: int) -> Iterable[int]:
    return islice(accumulate(values, max, initial=least), 1, None)


def cut(records: Records, sizes: tuple[int, int], keep_bytes: int | None, oldest_ns: int | None) -> tuple[int, int]:
    """How much of the beginnings of both files may go, so that the newest `keep_bytes` of them together stay, and all
    that may have been written after `oldest_ns`. None: that bound is none."""
    out = err = 0
    if oldest_ns is not None:
        out, err = records.sizes(bisect_right(records.times, oldest_ns) - 1)
    if keep_bytes is not None:
        surplus = sum(sizes) - keep_bytes
        if surplus > 0:
            number = bisect_right(range(len(records)), surplus, key=records.total)
            before = records.sizes(number - 1)
            after = records.sizes(number) if number < len(records) else sizes
            rest = surplus - sum(before)  # of one interval, in which stdout counts as written first
            from_out = min(rest, max(0, after[0] - before[0]))
            out, err = max(out, before[0] + from_out), max(err, before[1] + rest - from_out)
    return min(out, sizes[0]), min(err, sizes[1])


def kept_from(records: Records, out: int, err: int) -> int:
    """The first record that is still needed when the files begin at these offsets: all before it may go."""
    number = min(bisect_right(records.outs, out), bisect_right(records.errs, err)) - 1
    return max(0, number)
