"""The index of a log: whatever is in the file, times and sizes rise; what a bound keeps is kept to the byte."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aish.wire.log_index import RECORD_BYTES, Records, cut, kept_from, pack, unpack

small = st.integers(0, 1000)
rows = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 200), st.integers(0, 200)), max_size=20)


def made(steps: list[tuple[int, int, int]]) -> Records:
    """Each step is how much later, and how much more of both streams."""
    time_ns = out = err = 0
    records = Records()
    for later, more_out, more_err in steps:
        time_ns, out, err = time_ns + later, out + more_out, err + more_err
        records.extend(pack(time_ns, out, err))
    return records


def test_a_record_is_read_as_it_was_written() -> None:
    assert len(pack(1, 2, 3)) == RECORD_BYTES
    assert unpack(pack(1, 2**63, 3)) == (1, 2**63, 3)


@given(st.binary(max_size=200))
def test_whatever_is_in_the_file_the_columns_rise(data: bytes) -> None:
    records = Records()
    records.extend(data)
    for column in (records.times, records.outs, records.errs):
        assert len(column) == len(records)
        assert all(before <= after for before, after in pairwise(column))


def test_a_clock_that_was_set_back_makes_an_interval_wider() -> None:
    records = Records()
    records.extend(pack(100, 1, 1) + pack(50, 2, 2) + pack(120, 3, 3))
    assert list(records.times) == [100, 100, 120]


@given(rows.filter(bool), st.integers(0, 30))
def test_a_punched_beginning_is_no_record(steps: list[tuple[int, int, int]], punched_fields: int) -> None:
    """Holes are whole blocks, which are not whole records: one may have lost only its first fields."""
    data = b"".join(pack(*row) for row in zip(made(steps).times, made(steps).outs, made(steps).errs, strict=True))
    at = min(punched_fields * 8, len(data))
    records = Records()
    records.extend(bytes(at) + data[at:])
    whole = -(-at // RECORD_BYTES)
    assert list(records.times) == list(made(steps).times[whole:])


@given(rows, small, small, small)
def test_a_size_is_kept_to_the_byte(steps: list[tuple[int, int, int]], more: int, more_err: int, keep: int) -> None:
    records = made(steps)
    out, err = records.sizes(len(records) - 1)
    sizes = out + more, err + more_err
    cut_out, cut_err = cut(records, sizes, keep, None)
    assert 0 <= cut_out <= sizes[0]
    assert 0 <= cut_err <= sizes[1]
    assert sum(sizes) - cut_out - cut_err == min(keep, sum(sizes))


@given(rows, st.integers(0, 1200))
def test_nothing_that_may_be_younger_is_given_back(steps: list[tuple[int, int, int]], oldest: int) -> None:
    records = made(steps)
    sizes = records.sizes(len(records) - 1)
    out, err = cut(records, sizes, None, oldest)
    for number in range(len(records)):
        gone = records.sizes(number) if records.times[number] <= oldest else (0, 0)
        assert out >= gone[0], "this was certainly old enough"
        assert err >= gone[1]
    assert (out, err) in [(0, 0), *(records.sizes(number) for number in range(len(records)))]
    assert all(
        records.sizes(number - 1) >= (out, err)
        for number in range(len(records))
        if records.times[number] > oldest and number
    )


@given(rows.filter(bool), small, small)
def test_the_records_that_are_kept_reach_back_to_the_cut(
    steps: list[tuple[int, int, int]], out: int, err: int
) -> None:
    records = made(steps)
    first = kept_from(records, out, err)
    if first:
        assert records.outs[first] <= out
        assert records.errs[first] <= err


@given(rows, st.integers(0, 1200), st.integers(0, 600))
def test_a_window_holds_every_segment_that_may_touch_it(
    steps: list[tuple[int, int, int]], since: int, length: int
) -> None:
    records = made(steps)
    first, last = records.since(since), records.until(since + length)
    for number in range(len(records) + 1):
        after = records.time(number - 1) or 0
        until = records.times[number] if number < len(records) else 10**9
        assert (first <= number <= last) == (until >= since and after <= since + length)
