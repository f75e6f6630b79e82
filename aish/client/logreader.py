"""The log of one process through its descriptors: what was written in a window of time, in order, then what comes."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from aish.client import follow, interleave
from aish.client.interleave import LINE_BYTES, PIECES_MOST, STREAMS, Block
from aish.wire.log_index import RECORD_BYTES, Records

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

INDEX_WAIT_S: Final = 0.25
"""How long something may be there without a record: after that the daemon is taken for dead or busy, and the interval
ends with the file's own time."""


class LogReader:
    """`index` is None where the daemon has none to give: then nothing is known but the end."""

    def __init__(self, out: int, err: int, index: int | None, streams: Collection[int] = STREAMS) -> None:
        self.tails = {1: follow.Tail(out), 2: follow.Tail(err)}
        self.records = Records()
        self._streams = streams
        self._index = index
        self._indexed_bytes = 0
        self._segment = 0
        self._last: int | None = None
        self._skip = 0
        self._lines = interleave.Assembler()
        self._unindexed_since_s: float | None = None
        if index is not None:
            start = follow.data_start(index, 0)
            self._indexed_bytes = -(-start // RECORD_BYTES) * RECORD_BYTES
        self.refresh()

    @property
    def offsets(self) -> tuple[int, ...]:
        """How far both streams have been read."""
        return tuple(tail.offset for tail in self.tails.values())

    @property
    def partial(self) -> bool:
        """Whether a line has come whose end has not."""
        return self._lines.waiting

    @property
    def fds(self) -> list[int]:
        """To be watched for growth."""
        return [tail.fd for tail in self.tails.values()] + ([] if self._index is None else [self._index])

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)

    def refresh(self) -> None:
        """Read what the index has got since."""
        if self._index is None:
            return
        while data := os.pread(self._index, RECORD_BYTES << 12, self._indexed_bytes):
            whole = data[: len(data) - len(data) % RECORD_BYTES]
            if not whole:
                return  # a record that is just being written
            self.records.extend(whole)
            self._indexed_bytes += len(whole)

    def sizes(self) -> tuple[int, int]:
        out, err = (os.fstat(tail.fd).st_size for tail in self.tails.values())
        return out, err

    def changed_ns(self) -> int:
        """When something was last written, as the files say."""
        return max(os.fstat(tail.fd).st_mtime_ns for tail in self.tails.values() if os.fstat(tail.fd).st_size)

    # --- where to begin, where to end ---------------------------------------------------------------------------

    def window(self, since_ns: int | None, until_ns: int | None, count: int | None) -> None:
        """Only what may have been written from one moment to another; of that only the last `count` lines."""
        first = 0 if since_ns is None else self.records.since(since_ns)
        if until_ns is not None:
            self._last = self.records.until(until_ns)
        ends = self._ends()
        last = len(self.records) if self._last is None else self._last
        if since_ns is not None and first == len(self.records) and any(ends) and self.changed_ns() < since_ns:
            first = last + 1
        if count is not None:
            first, self._skip = interleave.last_lines(
                self.records, first, last, ends, count, self._newlines, self._partial(ends)
            )
        self._segment = min(first, len(self.records))
        if first > len(self.records):  # nothing of what is there: only what comes
            self.tails[1].offset, self.tails[2].offset = ends
            return
        for tail, start, end in zip(self.tails.values(), self.records.sizes(first - 1), ends, strict=True):
            tail.offset = follow.line_start(tail.fd, min(start, end), PIECES_MOST * LINE_BYTES)

    def begin(self, offsets: tuple[int, int]) -> tuple[int, int]:
        """Only what is behind these offsets of both streams; where that begins, since what was there may be gone."""
        found = [
            min(max(offset, follow.data_start(tail.fd, 0)), size)
            for tail, offset, size in zip(self.tails.values(), offsets, self.sizes(), strict=True)
        ]
        for tail, offset in zip(self.tails.values(), found, strict=True):
            tail.offset = offset
        columns = (self.records.outs, self.records.errs)
        self._segment = min(bisect_left(column, at) for column, at in zip(columns, found, strict=True))
        return found[0], found[1]

    def unsure(self, since_ns: int | None, until_ns: int | None) -> list[tuple[int | None, int]]:
        """The intervals of the index in which `since_ns` and `until_ns` lie, where something was written."""
        found = []
        for moment in (since_ns, until_ns):
            number = self.records.since(moment) if moment is not None else len(self.records)
            if number < len(self.records) and self.records.sizes(number) != self.records.sizes(number - 1):
                found.append((self.records.time(number - 1), self.records.times[number]))
        return found

    def _ends(self) -> tuple[int, int]:
        """Where the window ends in both files."""
        if self._last is not None and self._last < len(self.records):
            return self.records.sizes(self._last)
        return self.sizes()

    def _newlines(self, stream: int, start: int, end: int) -> int:
        return follow.newlines(self.tails[stream].fd, start, end) if stream in self._streams else 0

    def _partial(self, ends: tuple[int, int]) -> list[int]:
        """The segments of the last bytes of streams that end without a newline."""
        sizes = self.sizes()
        columns = (self.records.outs, self.records.errs)
        return [
            bisect_left(columns[stream - 1], size)
            for stream in self._streams
            if ends[stream - 1] == (size := sizes[stream - 1]) > 0
            and os.pread(self.tails[stream].fd, 1, size - 1) not in (b"\n", b"\0")
        ]

    # --- what there is ------------------------------------------------------------------------------------------

    def blocks(self, *, all_: bool) -> Iterator[Block]:
        """What has come since the last call, as far as it has a record; `all_`: what has none yet, too."""
        self.refresh()
        last = len(self.records) if self._last is None else self._last
        while self._segment <= min(last, len(self.records) - 1):
            yield from self._of_segment(self.sizes(), None)
            self._segment += 1
            self._unindexed_since_s = None
        if self._segment == len(self.records) <= last and (all_ or self._overdue()):
            ends = self.sizes()
            yield from self._of_segment(ends, self.changed_ns() if any(ends) else None)

    def rest(self) -> Iterator[Block]:
        """What came without a newline at the end; none where the window ended before the line did."""
        sizes = self.sizes()
        for block in self._lines.rest():
            if self._skip:
                self._skip -= 1
            elif self._last is None or self.tails[block.stream].offset >= sizes[block.stream - 1]:
                yield block

    def unindexed(self) -> bool:
        """Whether something is there that has no record yet."""
        return any(tail.offset < size for tail, size in zip(self.tails.values(), self.sizes(), strict=True))

    def unindexed_at_end(self) -> bool:
        """Whether the files are longer than the last record says."""
        return self.sizes() != self.records.sizes(len(self.records) - 1)

    def _overdue(self) -> bool:
        if not self.unindexed():
            self._unindexed_since_s = None
            return False
        now_s = time.monotonic()
        if self._unindexed_since_s is None:
            self._unindexed_since_s = now_s
        return now_s - self._unindexed_since_s >= INDEX_WAIT_S

    def _of_segment(self, ends: tuple[int, int], end_ns: int | None) -> Iterator[Block]:
        for chunk in interleave.segment(self.records, self._segment, ends, end_ns):
            tail = self.tails[chunk.stream]
            if chunk.stream not in self._streams:
                tail.offset = max(tail.offset, chunk.end)
                continue
            while data := tail.read(chunk.end):
                for block in self._lines.feed(chunk, data):
                    kept, self._skip = interleave.without_first(block, self._skip)
                    if kept is not None:
                        yield kept
