"""Counting what is in JSON without taking it apart."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.supervisor.gateway.dialects.entries import MAX_STEPS, entries

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(JSON, max_size=6) | st.dictionaries(st.text(), JSON, max_size=6), st.sampled_from([None, 1]))
@pytest.mark.slow
def test_as_many_as_the_decoder_finds(value: list[object] | dict[str, object], indent: int | None) -> None:
    """Whatever is in the strings, and however deep it goes."""
    found = [*value] if isinstance(value, dict) else [item for item in value if isinstance(item, str | list | dict)]
    text = json.dumps(value, indent=indent).encode()
    assert entries(text, 100) == len(found)
    assert entries(memoryview(text), 100) == len(found)


def test_it_stops_above_what_is_asked_for_and_where_it_gets_too_much() -> None:
    assert entries(json.dumps(["a"] * 5).encode(), 5) == 5
    assert entries(json.dumps(["a"] * 6).encode(), 5) is None
    assert entries(b"[[" + b'"",' * MAX_STEPS + b'""]]', 5) is None


@pytest.mark.parametrize("text", [b"", b'"', b'["a', b'["a\\', b"]]]]", b'{"a":' * 10, b"\xff", b'"aa\\"' * 100_000])
def test_what_is_no_json_does_no_harm(text: bytes) -> None:
    """An end that is missing must not make the matcher start over at every quote."""
    assert entries(text, 1 << 30) is not None
