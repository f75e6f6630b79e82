"""What a pattern leaves of a log."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.client.grep import SEARCHED_BYTES, compiled, last, matching
from aish.client.interleave import Block
from aish.errors import UsageError


def block(data: bytes, after_ns: int | None = None, until_ns: int | None = None) -> Block:
    return Block(1, data, after_ns, until_ns)


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_a_pattern_that_fits_everything_changes_nothing(datas: list[bytes]) -> None:
    blocks = [block(data) for data in datas if data]
    assert b"".join(found.data for found in matching(blocks, compiled(""), {})) == b"".join(b.data for b in blocks)


def test_only_lines_that_match_are_kept_and_a_partial_one_stays_so() -> None:
    found = list(matching([block(b"one\ntwo\none"), block(b"three\n")], compiled("one"), {}))
    assert [b.data for b in found] == [b"one\none", b""]


PIECES = [
    Block(1, b"needle", None, None, goes_on=True),
    Block(2, b"err needle\n", None, None),
    Block(1, b"other", None, None, begun=True, goes_on=True),
    Block(1, b"the end\nneedle, too\n", None, None, begun=True),
]


def test_the_pieces_of_a_line_are_kept_or_left_out_together() -> None:
    """Each was searched as a line: what was left of one had another line behind it."""
    begun: dict[int, bool] = {}
    found = [b for piece in PIECES for b in matching([piece], compiled("^needle"), begun)]
    assert b"".join(b.data for b in found) == b"needleotherthe end\nneedle, too\n"
    begun.clear()
    found = [b for piece in PIECES for b in matching([piece], compiled("other|err"), begun)]
    assert b"".join(b.data for b in found) == b"err needle\n", "it is looked for where the line begins"


def test_the_pieces_of_a_line_are_one_line() -> None:
    def shown(count: int) -> list[bytes]:
        return [b.data for b in last(PIECES, count) if b.data]

    assert shown(2) == [b"err needle\n", b"needle, too\n"]
    assert shown(3) == [b"needle", b"other", b"the end\n", b"err needle\n", b"needle, too\n"]


def test_bytes_that_are_no_text_can_be_searched() -> None:
    assert [b.data for b in matching([block(b"\xff\xfex\r\n")], compiled("x$"), {})] == [b"\xff\xfex\r\n"]


def test_a_line_is_searched_as_far_as_promised() -> None:
    """The cost of a pattern is bounded by the length of what it is looked for in."""
    line = b"a" * SEARCHED_BYTES + b"needle" + b"b" * 50_000_000 + b"\n"
    began = time.monotonic()
    for pattern in ("needle", "a+c"):
        assert [b.data for b in matching([block(line)], compiled(pattern), {})] == [b""]
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("pattern", ["(", "[", "a{9999999999}", "(?P<x>a)(?P<x>b)", "\\"])
def test_a_bad_pattern_is_told(pattern: str) -> None:
    with pytest.raises(UsageError, match="not a pattern"):
        compiled(pattern)


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=6), st.integers(0, 8))
def test_the_last_lines(datas: list[bytes], count: int) -> None:
    blocks = [block(data) for data in datas]
    everything = [line for b in blocks for line in b.lines()]
    shown = [line for b in last(blocks, count) for line in b.lines()]
    assert shown == everything[max(0, len(everything) - count) :]
