"""Calls whose pieces alternate: told one after the other, each whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.errors import UpstreamError
from aish.supervisor.gateway.dialects.chunk import Function, ToolCall
from aish.supervisor.gateway.dialects.ordered import MOST_WAITING_BYTES, Ordered

from .test_chunk import Pieces, called, piece, told

MIXED: dict[str, Pieces] = {
    "pieces alternate": [
        [piece(0, "a", "f", '{"x"'), piece(1, "b", "g", '{"y"')],
        [piece(0, None, None, ": "), piece(1, None, None, ": ")],
        [piece(1, None, None, "2}")],
        [piece(0, None, None, "1}")],
    ],
    "heads first": [
        [piece(0, "a", "f")],
        [piece(1, "b", "g")],
        [piece(0, None, None, '{"x": 1}')],
        [piece(1, None, None, '{"y": 2}')],
    ],
    "a blank behind": [
        [piece(0, "a", "f", '{"x": 1}')],
        [piece(1, "b", "g", '{"y": 2}')],
        [piece(0, None, None, "\n")],
    ],
}


@pytest.mark.parametrize("path", ["/messages", "/responses", "/api/chat"])
@pytest.mark.parametrize("pieces", MIXED.values(), ids=MIXED)
def test_pieces_of_calls_that_alternate_become_whole_calls_in_order(path: str, pieces: Pieces) -> None:
    """Messages and responses ended in an error: one block is open at a time there."""
    assert called(path, pieces) == [("f", {"x": 1}), ("g", {"y": 2})]


def test_the_blocks_are_told_one_after_the_other() -> None:
    asked = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9}
    events = told("/messages", asked, MIXED["pieces alternate"])
    kinds = [(event["type"], event["index"]) for event in events if "index" in event]
    start, delta, stop = (f"content_block_{word}" for word in ("start", "delta", "stop"))
    assert kinds == [(start, 0), *[(delta, 0)] * 3, (stop, 0), (start, 1), *[(delta, 1)] * 3, (stop, 1)]
    assert [event["content_block"]["id"] for event in events if event["type"] == start] == ["a", "b"]


def made(index: int, arguments: str, name: str | None = None) -> ToolCall:
    return ToolCall(index, None if name is None else f"id{index}", "function", Function(name, arguments))


def test_the_first_call_is_told_as_it_comes_and_the_next_once_it_is_whole() -> None:
    calls = Ordered()
    first, second, last = made(0, '{"a', "f"), made(1, "{}", "g"), made(0, '": "}"}')
    assert calls.put(first, "m") == [(0, first)]
    assert calls.put(second, "m") == []
    assert calls.put(last, "m") == [(0, last), (1, second)]
    assert calls.rest() == []


def test_what_waits_is_told_at_the_end_and_what_comes_later_is_out_of_order() -> None:
    calls = Ordered()
    calls.put(made(0, "{", "f"), "m")
    second = made(1, "{", "g")
    assert calls.put(second, "m") == []
    assert calls.rest() == [(1, second)]
    with pytest.raises(UpstreamError, match="out of order"):
        calls.put(made(0, "}"), "m")


def test_what_waits_is_bounded() -> None:
    calls = Ordered()
    calls.put(made(0, "{", "f"), "m")
    calls.put(made(1, "{", "g"), "m")
    part = "x" * (MOST_WAITING_BYTES // 8)
    for _ in range(7):
        calls.put(made(1, part), "m")
    with pytest.raises(UpstreamError, match="4 MiB"):
        calls.put(made(1, part), "m")


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab{}[]"\\\n'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='{}"\\k'), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(alphabet='a{}"\\'), VALUES, min_size=1, max_size=3), st.integers(1, 7))
def test_a_call_is_whole_with_its_last_character_whatever_it_says(arguments: dict[str, Any], size: int) -> None:
    text = json.dumps(arguments)
    calls = Ordered()
    second = made(1, "{}", "g")
    calls.put(made(0, "", "f"), "m")
    calls.put(second, "m")
    for at in range(0, len(text) - 1, size):
        part = text[at : min(at + size, len(text) - 1)]
        assert (1, second) not in calls.put(made(0, part), "m")
    assert (1, second) in calls.put(made(0, text[-1]), "m")
