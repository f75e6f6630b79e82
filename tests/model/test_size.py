"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.errors import UsageError
from aish.model.size import BELOW, changed, format_bytes, format_count, parse_bytes, parse_count


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("512", 512),
        ("8G", 8 << 30),
        ("8GiB", 8 << 30),
        ("8gb", 8 << 30),
        ("1.5m", 3 << 19),
        ("2T", 2 << 40),
    ],
)
def test_bytes_are_powers_of_1024(text: str, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes


@pytest.mark.parametrize(("text", "count"), [("200k", 200_000), ("1.5M", 1_500_000), ("7", 7)])
def test_counts_are_powers_of_1000(text: str, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["1.5", "0.1", "1.2345k"])
def test_a_count_that_is_not_whole_is_refused(text: str) -> None:
    """`aish limit NAME pids=1.5` made it 1."""
    with pytest.raises(UsageError, match="not a whole number"):
        parse_count(text)


@pytest.mark.parametrize("text", ["", "G", "-1", "+5", "1e9", "8X", "1.", "0x10", "८", "9" * 40, "1.2.3", "8 G x"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_bytes(text)
    assert "8G" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["99999999999999999999G", "1073741824G", str(BELOW)])
def test_what_no_64_bits_hold_is_refused(text: str) -> None:
    """One such limit wedged the daemon: the journal could write nothing any more."""
    with pytest.raises(UsageError, match="too large"):
        parse_bytes(text)
    assert parse_bytes(str(BELOW - 1)) == BELOW - 1
    with pytest.raises(UsageError, match="too large"):
        parse_count("9" * 10 + "G")


def test_a_limit_is_set_raised_and_lifted() -> None:
    assert changed(None, "200k", parse_count, "tokens") == 200_000
    assert changed(200_000, "+50k", parse_count, "tokens") == 250_000
    assert changed(200_000, "none", parse_count, "tokens") is None
    with pytest.raises(UsageError, match="no limit of vram to raise") as caught:
        changed(None, "+1G", parse_bytes, "vram")
    assert caught.value.hint == "set one: vram=1G"


def test_a_raise_does_not_lead_beyond_the_bound() -> None:
    with pytest.raises(UsageError, match=r"too large: '\+1'"):
        changed(BELOW - 1, "+1", parse_bytes, "vram")


@given(st.text(max_size=30))
def test_no_text_crashes_the_parser(text: str) -> None:
    try:
        assert parse_bytes(text) >= 0
    except UsageError:
        pass


@given(st.integers(min_value=0, max_value=1 << 59))
def test_a_shown_size_is_short_and_near(size_bytes: int) -> None:
    text = format_bytes(size_bytes)
    assert len(text) <= 5
    assert abs(parse_bytes(text.replace("P", "T")) * (1024 if "P" in text else 1) - size_bytes) <= size_bytes * 0.06


def test_unknown_is_shown_as_unknown() -> None:
    assert (format_bytes(None), format_count(None), format_bytes(0)) == ("-", "-", "0")
