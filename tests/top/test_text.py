"""Hostile text made harmless, and widths in columns."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.top.text import MAX_MARKS, clean, clip, clusters, columns, decoded, left, right, to_ascii


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain name", "plain name"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\rc\td", "a\\nb\\rc d"),
        ("\u202eevil", "\\u202eevil"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\u2028", "\\u2028"),
        ("模型", "模型"),
        ("❤\ufe0f", "❤"),
        ("e\u0301", "e\u0301"),
        ("\u0301start", "start"),
    ],
)
def test_clean(raw: str, shown: str) -> None:
    assert clean(raw) == shown


def test_towers_of_marks_are_cut() -> None:
    assert clean("z" + "\u0301" * 40) == "z" + "\u0301" * MAX_MARKS


def test_bytes_that_are_no_text_become_escapes() -> None:
    assert decoded(b"ok \xff\xfe\x1b") == "ok \\xff\\xfe\\x1b"


@settings(deadline=None)
@given(st.text())
def test_clean_text_has_nothing_that_steers_and_is_stable(raw: str) -> None:
    made = clean(raw)
    assert not [char for char in made if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp")]
    assert sum(width for _, width in clusters(made)) == columns(made)
    assert "".join(text for text, _ in clusters(made)) == made


@settings(deadline=None)
@given(st.text().map(clean), st.integers(min_value=0, max_value=40))
def test_clip_left_and_right_keep_their_width(text: str, width: int) -> None:
    assert columns(clip(text, width)) <= width
    assert columns(left(text, width)) == width
    assert columns(right(text, width)) == width


def test_clip_marks_what_it_cut_and_never_halves_a_character() -> None:
    assert clip("abcdef", 4) == "abc…"
    assert clip("abcd", 4) == "abcd"
    assert clip("模型模型", 5) == "模型…"
    assert clip("模型模型", 4) == "模…"
    assert clip("模", 1) == "…"
    assert clip("anything", 0) == ""


@settings(deadline=None)
@given(st.text().map(clean))
def test_ascii_keeps_the_width(text: str) -> None:
    made = to_ascii(text)
    assert made.isascii()
    assert len(made) == columns(text)
