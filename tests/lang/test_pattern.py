"""Patterns: each form, against fnmatch for what both know, and without blow-up."""

from __future__ import annotations

import fnmatch
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.lang.matching import Pattern
from aish.lang.pattern import escape, is_magic, speak, unescape


@pytest.fixture(autouse=True)
def _plain_dialect() -> None:
    """Shells of other tests in this process may have left theirs."""
    speak(0)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("abc", ["abc"], ["ab", "abcd", "ABC"]),
        ("*", ["", "a", "a/b"], []),
        ("a*", ["a", "ab"], ["b", "ba"]),
        ("*a", ["a", "ba"], ["ab"]),
        ("a*b", ["ab", "axxb"], ["a", "aba"]),
        ("a**b", ["ab", "axb"], ["a"]),
        ("*a*", ["a", "bab"], ["", "b"]),
        ("?", ["a", "é", "\udcff"], ["", "ab"]),
        ("[abc]", ["a", "c"], ["d", ""]),
        ("[a-c]x", ["bx"], ["dx"]),
        ("[!a-c]", ["d", "-"], ["a"]),
        ("[^a]", ["b"], ["a"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[!]a]", ["b"], ["]", "a"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[a", ["[a"], ["a"]),
        ("[[:digit:]]", ["7"], ["a", ":"]),
        ("[[:alpha:][:digit:]_]", ["x", "5", "_"], ["-"]),
        ("[[:nosuch:]]", [], ["n", ":"]),
        ("[[.-.]a]", ["-", "a"], ["b"]),
        ("[[=a=]]", ["a"], ["b"]),
        ("\\*", ["*"], ["a", "\\*"]),
        ("[\\]]", ["]"], ["\\"]),
        ("a\\", ["a\\"], ["a"]),
    ],
)
def test_forms(pattern: str, yes: list[str], no: list[str]) -> None:
    compiled = Pattern(pattern)
    assert [text for text in yes if not compiled.matches(text)] == []
    assert [text for text in no if compiled.matches(text)] == []


_text = st.text("ab[]*?-!", max_size=8)


@given(st.lists(st.sampled_from(["a", "b", "*", "?", "[ab]", "[!a]", "[a-b]"]), max_size=7).map("".join), _text)
@settings(max_examples=500, deadline=None)
def test_agrees_with_fnmatch(pattern: str, text: str) -> None:
    assert Pattern(pattern).matches(text) == fnmatch.fnmatchcase(text, pattern)


@given(_text, _text)
@settings(max_examples=300, deadline=None)
def test_an_escaped_text_matches_itself_alone(text: str, other: str) -> None:
    compiled = Pattern(escape(text))
    assert compiled.matches(text)
    assert compiled.matches(other) == (text == other)
    assert unescape(escape(text)) == text
    assert not is_magic(escape(text))


@given(st.text("ab*?", max_size=5), st.text("ab", max_size=8), st.booleans())
@settings(max_examples=500, deadline=None)
def test_trimming_takes_the_shortest_or_longest(pattern: str, text: str, longest: bool) -> None:
    """By the definition: try every cut."""
    compiled = Pattern(pattern)
    lengths = [n for n in range(len(text) + 1) if fnmatch.fnmatchcase(text[:n], pattern)]
    cut = (max if longest else min)(lengths, default=0)
    assert compiled.without_prefix(text, longest) == text[cut:]
    lengths = [n for n in range(len(text) + 1) if fnmatch.fnmatchcase(text[n:], pattern)]
    keep = (min if longest else max)(lengths, default=len(text))
    assert compiled.without_suffix(text, longest) == text[:keep]


def test_many_stars_do_not_blow_up() -> None:
    """A backtracking matcher takes 2**n steps here, and a `case` in a script would hang."""
    begin = time.monotonic()
    assert not Pattern("*a" * 30 + "b").matches("a" * 2000)
    assert Pattern("*a" * 12 + "b").without_prefix("a" * 500, True) == "a" * 500
    assert time.monotonic() - begin < 5


def test_is_magic() -> None:
    assert [text for text in ("*", "a?", "[a]", "\\\\*") if not is_magic(text)] == []
    assert [text for text in ("a", "[", "\\*", "a[b", "]") if is_magic(text)] == []
