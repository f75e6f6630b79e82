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
"""A longer line comes in pieces: what has no newline must not fill the memory."""
PIECES_MOST: Final = 64
"""Of a line; where its beginning has to be sought or kept, that of a longer one is given up."""


class Chunk(NamedTuple):
    """Bytes `start` to `end` of a stream, written after `after_ns` and not after `until_ns` (None: unknown)."""

    stream: int
    start: int
    end: int
    after_ns: int | None
    until_ns: int | None


class Block(NamedTuple):
    """Whole lines of one stream and one interval; at its end a line may be partial. Each piece of a line that is too
    long is a block of its own, but for the last one."""

    stream: int
    data: bytes
    after_ns: int | None
    until_ns: int | None
    begun: bool = False
    """The first line began in the stream's block before."""
    goes_on: bool = False
    """The last line goes on in the stream's next block."""

    def lines(self) -> list[bytes]:
        """Without their newlines."""
        found = self.data.split(b"\n")
        if not found[-1]:
            found.pop()
        return found

    def each(self) -> Iterator[Block]:
        """Each line as a block of its own."""
        *whole, partial = self.data.split(b"\n")
        lines = [line + b"\n" for line in whole] + ([partial] if partial else [])
        last = len(lines) - 1
        for number, line in enumerate(lines):
            yield self._replace(data=line, begun=self.begun and number == 0, goes_on=self.goes_on and number == last)


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
        self._cut: set[int] = set()
        """Streams of whose line a piece has gone ahead."""

    @property
    def waiting(self) -> bool:
        return bool(self._partial)

    def feed(self, chunk: Chunk, data: bytes) -> Iterator[Block]:
        """`data` is of `chunk`, and shorter than a line may be: only the first one that it ends can be too long."""
        stream, interval = chunk.stream, (chunk.after_ns, chunk.until_ns)
        text = self._partial.pop(stream, b"") + data
        while _first_line_bytes(text) > LINE_BYTES:
            at = _between_characters(text, LINE_BYTES)
            yield Block(stream, text[:at], *interval, begun=stream in self._cut, goes_on=True)
            self._cut.add(stream)
            text = text[at:]
        whole, newline, rest = text.rpartition(b"\n")
        if newline:
            yield Block(stream, whole + newline, *interval, begun=stream in self._cut)
            self._cut.discard(stream)
        if rest:
            self._partial[stream] = rest
            self._interval[stream] = interval

    def rest(self) -> Iterator[Block]:
        """What came without a newline at the end."""
        for stream in sorted(self._partial):
            yield Block(stream, self._partial[stream], *self._interval[stream], begun=stream in self._cut)
        self._partial.clear()


def _first_line_bytes(text: bytes) -> int:
    end = text.find(b"\n")
    return len(text) if end < 0 else end


def _between_characters(text: bytes, at: int) -> int:
    """Where to cut UTF-8 at `at` or just before; what is none is cut there."""
    return next((near for near in range(at, at - 4, -1) if text[near] & 0xC0 != 0x80), at)


def without_first(block: Block, count: int) -> tuple[Block | None, int]:
    """A block without its first `count` lines, and how many are still to be left out after it. A piece of a line that
    is too long to be shown whole counts as none."""
    at = 0
    while count and at < len(block.data):
        found = block.data.find(b"\n", at)
        at = len(block.data) if found < 0 else found + 1
        count -= found >= 0
    if at == len(block.data):
        return None, count
    return (block._replace(data=block.data[at:], begun=False) if at else block), count
