"""Two logs and their index to one output: what was written first comes first, as exactly as the index knows. Pure.

Within one interval of the index the order of the two streams is not known: stdout comes first there. A line belongs
to the interval in which it was ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aish.wire.log_index import Records

STREAMS: Final = (1, 2)
LINE_BYTES: Final = 1 << 20
"""A longer line is shown in pieces: what has no newline must not fill the memory."""


class Chunk(NamedTuple):
    """Bytes `start` to `end` of a stream, written after `after_ns` and not after `until_ns` (None: unknown)."""

    stream: int
    start: int
    end: int
    after_ns: int | None
    until_ns: int | None


class Block(NamedTuple):
    """Whole lines of one stream and one interval; at its end a line may be partial."""

    stream: int
    data: bytes
    after_ns: int | None
    until_ns: int | None

    def lines(self) -> list[bytes]:
        """Without their newlines."""
        found = self.data.split(b"\n")
        if not found[-1]:
            found.pop()
        return found


def segment(records: Records, number: int, ends: tuple[int, int], end_ns: int | None) -> list[Chunk]:
    """The chunks of a segment; the one behind the last record ends with the files, at `end_ns`."""
    before, after_ns = records.sizes(number - 1), records.time(number - 1)
    here, until_ns = (records.sizes(number), records.time(number)) if number < len(records) else (ends, end_ns)
    if after_ns is not None and until_ns is not None:
        until_ns = max(until_ns, after_ns)
    return [
        Chunk(stream, min(start, most), min(end, most), after_ns, until_ns)
        for stream, start, end, most in zip(STREAMS, before, here, ends, strict=True)
        if min(end, most) > start
    ]


def last_lines(
    records: Records,
    first: int,
    last: int,
    ends: tuple[int, int],
    count: int,
    newlines: Callable[[int, int, int], int],
    partial: Sequence[int] = (),
) -> tuple[int, int]:
    """Where the last `count` lines of segments `first` to `last` begin: a segment, and how many lines to leave out.

    `newlines` counts those of a stream between two offsets; `partial` are the segments that hold the ends of lines
    without a newline, which are shown behind all others.
    """
    partial = [each for each in partial if each >= first]
    seen, number = len(partial), last + 1
    while number > first and count and (seen < count or number > min(partial, default=last)):
        number -= 1
        for chunk in segment(records, number, ends, None):
            seen += newlines(chunk.stream, chunk.start, chunk.end)
    return number, max(0, seen - count)


class Assembler:
    """Bytes of both streams to blocks of whole lines: what has no newline yet waits for it."""

    def __init__(self) -> None:
        self._partial: dict[int, bytes] = {}
        self._interval: dict[int, tuple[int | None, int | None]] = {}

    @property
    def waiting(self) -> bool:
        return bool(self._partial)

    def feed(self, chunk: Chunk, data: bytes) -> Iterator[Block]:
        """`data` is of `chunk`."""
        stream = chunk.stream
        whole, newline, rest = (self._partial.pop(stream, b"") + data).rpartition(b"\n")
        if newline:
            yield Block(stream, whole + newline, chunk.after_ns, chunk.until_ns)
        if len(rest) > LINE_BYTES:
            yield Block(stream, rest, chunk.after_ns, chunk.until_ns)
            rest = b""
        if rest:
            self._partial[stream] = rest
            self._interval[stream] = chunk.after_ns, chunk.until_ns

    def rest(self) -> Iterator[Block]:
        """What came without a newline at the end."""
        for stream in sorted(self._partial):
            yield Block(stream, self._partial[stream], *self._interval[stream])
        self._partial.clear()


def without_first(block: Block, count: int) -> tuple[Block | None, int]:
    """A block without its first `count` lines, and how many are still to be left out after it. A piece of a line that
    is too long to be shown whole counts as none."""
    at = 0
    while count and at < len(block.data):
        found = block.data.find(b"\n", at)
        at = len(block.data) if found < 0 else found + 1
        count -= found >= 0
    return (block._replace(data=block.data[at:]) if at < len(block.data) else None), count
