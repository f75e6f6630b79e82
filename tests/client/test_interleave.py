"""Two streams become one in the order in which they were written, as exactly as the index knows; nothing is lost."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from aish.client import interleave
from aish.client.interleave import LINE_BYTES, Assembler, Block, Chunk, without_first
from aish.client.logreader import LogReader
from aish.wire.log_index import pack

if TYPE_CHECKING:
    from collections.abc import Iterator


class Write(NamedTuple):
    at: int
    stream: int
    data: bytes


class Case(NamedTuple):
    """What a process wrote when, and the moments at which the daemon looked at its files."""

    writes: list[Write]
    looks: list[int]

    def sizes(self, at: int) -> tuple[int, int]:
        out, err = (
            sum(len(write.data) for write in self.writes if write.stream == stream and write.at <= at)
            for stream in (1, 2)
        )
        return out, err

    def whole(self, stream: int) -> bytes:
        return b"".join(write.data for write in self.writes if write.stream == stream)

    def ended_at(self, stream: int) -> list[tuple[bytes, int]]:
        """Each line of a stream with the time of the write that ended it."""
        found, line = [], b""
        for write in self.writes:
            if write.stream == stream:
                for piece in write.data.splitlines(keepends=True):
                    line += piece
                    if piece.endswith(b"\n"):
                        found.append((line, write.at))
                        line = b""
        return found


@st.composite
def cases(draw: st.DrawFn) -> Case:
    at, writes, serial = 1, [], 0
    for _ in range(draw(st.integers(0, 12))):
        at += draw(st.integers(0, 40))
        lines = []
        for _ in range(draw(st.integers(0, 3))):
            lines.append(b"%d" % serial + draw(st.sampled_from([b"\n", b"\n", b"", b"\n\n"])))
            serial += 1
        if lines:
            writes.append(Write(at, draw(st.sampled_from([1, 2])), b"".join(lines)))
    looks = sorted(draw(st.sets(st.integers(1, at + 20), max_size=12)))
    return Case(writes, looks)


@contextmanager
def reader(case: Case, index_at: int | None = None, streams: tuple[int, ...] = (1, 2)) -> Iterator[LogReader]:
    """`index_at`: of the index only what there was at that time."""
    fds = [os.memfd_create(name) for name in ("out", "err", "idx")]
    for fd, data in zip(fds, (case.whole(1), case.whole(2)), strict=False):
        os.write(fd, data)
    looks = [at for at in case.looks if index_at is None or at <= index_at]
    os.write(fds[2], b"".join(pack(at, *case.sizes(at)) for at in looks))
    made = LogReader(*fds, streams=streams)
    try:
        yield made
    finally:
        made.close()


def shown(log: LogReader) -> list[Block]:
    return [*log.blocks(all_=True), *log.rest()]


def lines(blocks: list[Block]) -> list[tuple[int, bytes]]:
    return [(block.stream, line) for block in blocks for line in block.data.splitlines(keepends=True)]


@given(cases())
def test_no_byte_is_lost_or_shown_twice(case: Case) -> None:
    with reader(case) as log:
        blocks = shown(log)
    for stream in (1, 2):
        assert b"".join(block.data for block in blocks if block.stream == stream) == case.whole(stream)


@given(cases())
def test_a_line_was_ended_within_its_interval(case: Case) -> None:
    with reader(case) as log:
        blocks = shown(log)
    for stream in (1, 2):
        intervals = [
            (line, block.after_ns, block.until_ns)
            for block in blocks
            if block.stream == stream
            for line in block.data.splitlines(keepends=True)
            if line.endswith(b"\n")
        ]
        for (line, at), (told, after_ns, until_ns) in zip(case.ended_at(stream), intervals, strict=True):
            assert line == told
            assert after_ns is None or after_ns < at
            assert until_ns is not None
            assert at <= until_ns


@given(cases())
def test_what_was_ended_before_a_record_comes_before_what_was_ended_after_it(case: Case) -> None:
    with reader(case) as log:
        order = [line for line in lines(shown(log)) if line[1].endswith(b"\n")]
    ended = {
        (stream, line, number): at for stream in (1, 2) for number, (line, at) in enumerate(case.ended_at(stream))
    }
    counts = {1: 0, 2: 0}
    times = []
    for stream, line in order:
        times.append(ended[stream, line, counts[stream]])
        counts[stream] += 1
    for look in case.looks:
        sides = [at > look for at in times]
        assert sides == sorted(sides), f"something from after {look} came before something from before it"


@given(cases(), st.integers(0, 12))
def test_the_last_lines_are_the_end_of_all_lines(case: Case, count: int) -> None:
    with reader(case) as log:
        everything = lines(shown(log))
    with reader(case) as log:
        log.window(None, None, count)
        assert lines(shown(log)) == everything[max(0, len(everything) - count) :]


@given(cases(), st.integers(0, 300), st.integers(0, 300))
def test_a_window_has_all_that_was_written_in_it_and_no_more_than_an_interval_besides(
    case: Case, since: int, length: int
) -> None:
    until = since + length
    with reader(case) as log:
        log.window(since, until, None)
        blocks = shown(log)
        told = lines(blocks)
    for stream in (1, 2):
        found = [line for number, line in told if number == stream]
        wanted = [line for line, at in case.ended_at(stream) if since <= at <= until]
        everything = [line for line, _ in case.ended_at(stream)]
        assert _within(wanted, found), "something of the window is missing"
        assert _within([line for line in found if line.endswith(b"\n")], everything)
    for block in blocks:
        assert block.until_ns is not None
        assert block.until_ns >= since
        assert block.after_ns is None or block.after_ns <= until


def _within(part: list[bytes], whole: list[bytes]) -> bool:
    return not part or any(whole[at : at + len(part)] == part for at in range(len(whole)))


@given(cases(), st.integers(0, 300), st.integers(1, 6))
def test_the_last_lines_of_a_window(case: Case, since: int, count: int) -> None:
    with reader(case) as log:
        log.window(since, None, None)
        everything = lines(shown(log))
    with reader(case) as log:
        log.window(since, None, count)
        assert lines(shown(log)) == everything[-count:]


@given(cases())
def test_one_stream_alone(case: Case) -> None:
    with reader(case, streams=(2,)) as log:
        assert b"".join(block.data for block in shown(log)) == case.whole(2)


@given(cases(), st.integers(0, 300))
def test_an_index_that_is_behind_loses_nothing(case: Case, index_at: int) -> None:
    """The daemon was killed: what came after its last record is one interval."""
    with reader(case, index_at=index_at) as log:
        blocks = shown(log)
    for stream in (1, 2):
        assert b"".join(block.data for block in blocks if block.stream == stream) == case.whole(stream)


@given(cases(), st.lists(st.booleans(), max_size=12))
def test_what_is_followed_is_what_is_shown_at_the_end(case: Case, without_index: list[bool]) -> None:
    """The files grow between two looks of a follower, who at times shows what has no record yet."""
    fds = [os.memfd_create(name) for name in ("out", "err", "idx")]
    log = LogReader(*fds)
    blocks: list[Block] = []
    written = indexed = 0
    steps = [*((at, "look") for at in case.looks), *((write.at, "write") for write in case.writes)]
    for number, (at, what) in enumerate(sorted(steps)):
        if what == "look":
            os.write(fds[2], pack(at, *(os.fstat(fd).st_size for fd in fds[:2])))
            indexed += 1
        else:
            write = case.writes[written]
            written += 1
            os.write(fds[write.stream - 1], write.data)
        blocks += log.blocks(all_=without_index[number % len(without_index)] if without_index else False)
    blocks += shown(log)
    log.close()
    assert (written, indexed) == (len(case.writes), len(case.looks))
    for stream in (1, 2):
        assert b"".join(block.data for block in blocks if block.stream == stream) == case.whole(stream)


def test_without_an_index_all_is_shown_and_no_time_is_claimed() -> None:
    out, err = os.memfd_create("out"), os.memfd_create("err")
    os.write(out, b"a\nb")
    os.write(err, b"c\n")
    log = LogReader(out, err, None)
    blocks = shown(log)
    assert [block.data for block in blocks] == [b"a\n", b"c\n", b"b"]
    assert {block.after_ns for block in blocks} == {None}
    log.close()


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    assembler = Assembler()
    chunk = Chunk(1, 0, 3 * LINE_BYTES, None, None)
    pieces = [block for _ in range(64) for block in assembler.feed(chunk, b"x" * (LINE_BYTES // 16))]
    pieces += assembler.rest()
    assert sum(len(piece.data) for piece in pieces) == 4 * LINE_BYTES
    assert max(len(piece.data) for piece in pieces) <= LINE_BYTES
    assert [piece.begun for piece in pieces] == [False, True, True, True]
    assert [piece.goes_on for piece in pieces] == [True, True, True, False]


@given(st.lists(st.integers(1, LINE_BYTES), min_size=1, max_size=5), st.integers(LINE_BYTES // 8, LINE_BYTES))
def test_where_a_long_line_is_cut_does_not_depend_on_how_it_came(lengths: list[int], step: int) -> None:
    """Each call cut it elsewhere, in the middle of a character, too."""
    text = b"".join("é".encode() * length + b"\n" for length in lengths)
    chunk = Chunk(1, 0, len(text), None, None)
    assembler = Assembler()
    blocks = [block for at in range(0, len(text), step) for block in assembler.feed(chunk, text[at : at + step])]
    pieces = [line for block in blocks for line in block.each()]
    assert b"".join(piece.data for piece in pieces) == text
    assert [len(piece.data) for piece in pieces if piece.goes_on] == [
        LINE_BYTES for length in lengths for _ in range((2 * length - 1) // LINE_BYTES)
    ]
    assert [piece.begun for piece in pieces] == [False, *(piece.goes_on for piece in pieces)][:-1]
    for piece in pieces:
        piece.data.decode()


def test_leaving_out_lines() -> None:
    block = Block(1, b"a\nb\nc\n", None, None)
    assert without_first(block, 0) == (block, 0)
    assert without_first(block, 2) == (block._replace(data=b"c\n"), 0)
    assert without_first(block, 5) == (None, 2)
    assert without_first(Block(1, b"piece", None, None), 1) == (None, 1)
    rest = Block(1, b"piece\nb\n", None, None, begun=True)
    assert without_first(rest, 1) == (Block(1, b"b\n", None, None), 0)
    assert without_first(rest, 0) == (rest, 0)


def test_the_interval_that_a_moment_lies_in() -> None:
    case = Case([Write(10, 1, b"a\n"), Write(50, 1, b"b\n")], [1, 20, 60, 80])
    with reader(case) as log:
        assert log.unsure(15, 45) == [(1, 20), (20, 60)]
        assert log.unsure(70, None) == [], "nothing was written there"
        assert log.unsure(100, None) == []


def test_segments_are_cut_at_the_end_of_the_file() -> None:
    """A record may promise more than there is: the file was replaced, or cut."""
    case = Case([Write(10, 1, b"aaaa\n")], [20])
    with reader(case) as log:
        assert interleave.segment(log.records, 0, (3, 0), None) == [Chunk(1, 0, 3, None, 20)]
        os.ftruncate(log.tails[1].fd, 3)
        assert b"".join(block.data for block in shown(log)) == b"aaa"
