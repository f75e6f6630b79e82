"""The short way for patterns of text and stars gives what the long way gives."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.lang.name_filter import among

TEXTS = st.text("ab.*", max_size=6)
NAMES = st.lists(st.text("ab.", min_size=1, max_size=6), max_size=12)


def expected(pattern: str, names: list[str]) -> list[str]:
    match = re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL).fullmatch
    return [name for name in names if match(name) and (name[0] != "." or pattern[0] == ".")]


@given(TEXTS, NAMES)
def test_it_is_what_the_pattern_means(pattern: str, names: list[str]) -> None:
    found = among(pattern, names)
    if found is None:
        assert not 1 <= pattern.count("*") <= 2
    else:
        assert found == expected(pattern, names)


@pytest.mark.parametrize("pattern", ["a", "a?", "[a]*", "a\\*", "*(a)", "*a*b*", ""])
def test_others_are_left_alone(pattern: str) -> None:
    assert among(pattern, ["a"]) is None


def test_parts_do_not_overlap() -> None:
    """Fault: `a*a` matches `a`, or `*aba*ba` finds its middle in its tail."""
    assert among("a*a", ["a", "aa"]) == ["aa"]
    assert among("ab*b*b", ["abb", "abbb", "abab"]) == ["abbb"]
