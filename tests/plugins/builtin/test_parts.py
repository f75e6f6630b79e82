"""The small pure parts: rules, bounds, repeats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.plugins.builtin.bound import Tail, bounded, encodable
from aish.plugins.builtin.repeats import Repeats
from aish.plugins.builtin.wish import one_line, rule


@pytest.mark.parametrize(
    ("tool", "table", "otherwise", "found"),
    [
        ("shell", {}, "ask", "ask"),
        ("shell", {}, "allow", "allow"),
        ("read", {}, "ask", "allow"),
        ("search", {"default": "deny"}, "ask", "allow"),
        ("read", {"read": "deny"}, "allow", "deny"),
        ("write", {"default": "deny"}, "ask", "deny"),
        ("write", {"default": "deny", "write": "allow"}, "ask", "allow"),
        ("server_tool", {}, "ask", "ask"),
    ],
)
def test_rules(tool: str, table: dict[str, str], otherwise: str, found: str) -> None:
    assert rule(tool, table, otherwise) == found


def test_titles_are_one_printable_line() -> None:
    """A command could otherwise draw its own question on the terminal."""
    assert one_line("rm -rf x\n\x1b[2Jecho \u202eharmless") == "rm -rf x [2Jecho harmless"
    assert len(one_line("x" * 10**7)) == 120


@given(st.text(max_size=300), st.integers(3, 100))
def test_what_fits_is_as_it_is_and_the_rest_says_how_much_is_missing(text: str, most: int) -> None:
    found = bounded(text, most)
    assert found == text if len(text) <= most else "are left out here" in found
    assert len(found) <= most + 60


@given(st.lists(st.binary(max_size=50)), st.integers(2, 60))
def test_the_ends_of_an_output(pieces: list[bytes], most: int) -> None:
    tail = Tail(most)
    for piece in pieces:
        tail.feed(piece)
    whole = b"".join(pieces)
    if len(whole) <= most // 2 * 2:
        assert tail.text() == whole.decode("utf-8", "replace")
    else:
        assert f"{len(whole) - most // 2 * 2:,} bytes are left out" in tail.text()


def test_repeats_are_of_one_call_with_one_result() -> None:
    repeats = Repeats()
    assert [repeats.count("a", '{"x": 1, "y": 2}', "r") for _ in range(2)] == [1, 2]
    assert repeats.count("a", {"y": 2, "x": 1}, "r") == 3, "the order of arguments says nothing"
    assert repeats.count("b", {"y": 2, "x": 1}, "r") == 1
    assert repeats.count("a", {"y": 2, "x": 1}, "other") == 1
    assert repeats.count("a", {"y": 2, "x": 1}, "r") == 1
    assert repeats.count("a", "{broken", "r") == 1


@pytest.mark.parametrize(("text", "told"), [("rm a\udcffb", "rm a\ufffdb"), ("\ud83dä€", "\ufffdä€"), ("ä?", "ä?")])
def test_what_is_no_character_is_marked_as_nothing_that_a_shell_reads(text: str, told: str) -> None:
    """A person was asked about `rm a?b`, which is another command."""
    assert encodable(text) == told
