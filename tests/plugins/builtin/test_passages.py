"""Passages: every line that is not blank is in one of them, under its own number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aish.plugins.builtin.passages import LINE_BYTES, PASSAGE_BYTES, passages


@given(st.lists(st.text("ab é\t", max_size=600), max_size=30))
def test_no_line_is_lost_and_its_number_is_its_own(lines: list[str]) -> None:
    """A place that is wrong by one sends a model to read the wrong function."""
    text = "\n".join(lines)
    numbered = dict(enumerate(text.splitlines(), 1))
    seen: dict[int, str] = {}
    for passage in passages("f", text):
        inner = passage.text.split("\n")
        assert len(inner) == passage.last - passage.first + 1
        assert inner[0].strip()
        assert inner[-1].strip()
        seen |= dict(enumerate(inner, passage.first))
    assert {number: line for number, line in numbered.items() if line.strip()} == {
        number: line for number, line in seen.items() if line.strip()
    }


def test_long_ones_end_at_an_empty_line() -> None:
    """What belongs together is found together."""
    paragraph = "\n".join(["word " * 12] * 9)
    found = passages("f", "\n\n".join([paragraph] * 3))
    assert [passage.place for passage in found] == ["f:1-9", "f:11-19", "f:21-29"]
    assert all(len(passage.text) <= PASSAGE_BYTES for passage in found)


def test_a_line_without_end_is_cut() -> None:
    """A minified script would be one request that no server takes."""
    (found,) = passages("f", "é" * 100_000)
    assert found.place == "f:1"
    assert len(found.text.encode()) <= LINE_BYTES + 3


def test_nothing_is_in_what_is_blank() -> None:
    assert passages("f", " \n\n\t\n") == []
