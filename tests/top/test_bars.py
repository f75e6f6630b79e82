"""Bars, sparklines, dots: exact ends, no zero for the unknown."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.top.bars import Part, bar, dots, shades, spark
from aish.top.style import NOTE, WARN, Style
from aish.top.text import columns


def drawn(parts: list[Part], total: float, width: int, **how: bool) -> str:
    return "".join(span.text for span in bar(parts, total, width, **how))


@pytest.mark.parametrize(
    ("amount", "expected"),
    [(0, "    "), (1, "▏   "), (4, "▌   "), (8, "█   "), (20, "██▌ "), (32, "████"), (99, "████"), (0.001, "▏   ")],
)
def test_a_bar_ends_at_an_eighth_and_something_is_never_nothing(amount: float, expected: str) -> None:
    assert drawn([Part(amount, NOTE)], 32, 4) == expected


def test_two_owners_meet_within_a_cell() -> None:
    spans = bar([Part(12, NOTE), Part(12, WARN)], 32, 4)
    assert [span.text for span in spans] == ["█", "▌", "█", " "]
    assert spans[1].style == Style(fore=NOTE.fore, back=WARN.fore)


def test_many_owners_in_one_cell_show_the_largest() -> None:
    assert drawn([Part(1, NOTE), Part(5, WARN), Part(2, NOTE)], 32, 4) == "▋   "


def test_without_colours_a_line_parts_neighbours() -> None:
    assert drawn([Part(16, NOTE), Part(16, WARN)], 32, 8, mono=True) == "████│███"


def test_promised_memory_is_shaded_and_ascii_stays_ascii() -> None:
    assert drawn([Part(16, NOTE), shades(8)], 32, 4) == "██░ "
    assert drawn([Part(16, NOTE), shades(8)], 32, 4, ascii_only=True) == "##. "


def test_the_first_label_that_fits_is_written() -> None:
    part = Part(32, NOTE, ("qwen3-32b 47.1G", "qwen3-32b", "qwen"))
    assert drawn([part], 32, 18) == "qwen3-32b 47.1G ██"
    assert drawn([part], 32, 12) == "qwen3-32b ██"
    assert drawn([part], 32, 6) == "qwen █"
    assert drawn([part], 32, 4) == "████"


def test_no_total_draws_nothing() -> None:
    assert drawn([Part(5, NOTE)], 0, 4) in ("    ", "▏   ")
    assert bar([Part(5, NOTE)], 10, 0) == ()


amounts = st.lists(st.floats(min_value=0, max_value=1e15), max_size=6)


@settings(deadline=None)
@given(amounts, st.floats(min_value=0, max_value=1e15), st.integers(min_value=0, max_value=60), st.booleans())
def test_a_bar_is_always_as_wide_as_asked(amounts: list[float], total: float, width: int, mono: bool) -> None:
    parts = [Part(amount, NOTE, (f"name{n}",)) for n, amount in enumerate(amounts)]
    for ascii_only in (False, True):
        text = drawn(parts, total, width, mono=mono, ascii_only=ascii_only)
        assert columns(text) == width
        assert not ascii_only or text.isascii()


def test_a_sparkline_scales_to_its_top_and_leaves_gaps() -> None:
    assert spark([0, 50, 100], 5, 100) == "  ▁▅█"
    assert spark([None, 100], 2, 100) == " █"
    assert spark([1, 2, 3, 4], 2) == "▇█"
    assert spark([], 3) == "   "
    assert spark([0, 0], 2) == "▁▁"
    assert spark([math.nan, math.inf, 1.0], 3) == "  █"
    assert spark([0, 100], 2, 100, ascii_only=True) == "_#"


def test_dots_fill_from_below_with_two_values_a_column() -> None:
    assert dots([100, 100], 1, 2, 100) == ["⣿", "⣿"]
    assert dots([50, 100], 1, 2, 100) == ["⢸", "⣿"]
    assert dots([None, 0], 1, 1, 100) == ["⠀"]
    assert dots([0.1, 0.1], 1, 2, 100) == ["⠀", "⣀"]
    assert dots([100] * 99, 3, 1, 100) == ["⣿⣿⣿"]


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.floats()), max_size=50),
    st.integers(min_value=1, max_value=20),
    st.integers(min_value=1, max_value=4),
)
def test_graphs_keep_their_size(values: list[float | None], width: int, height: int) -> None:
    for ascii_only in (False, True):
        rows = dots(values, width, height, 100.0, ascii_only=ascii_only)
        assert [len(row) for row in rows] == [width] * height
        assert len(spark(values, width, 100.0, ascii_only=ascii_only)) == width
