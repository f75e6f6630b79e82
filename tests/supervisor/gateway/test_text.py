"""What is no text in a server's JSON is replaced, and nothing else is touched."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.supervisor.gateway.dialects import text

ANY = st.text(st.characters(codec=None), max_size=30)
"""Half characters too."""


@given(st.text(max_size=30))
def test_what_is_text_stays(words: str) -> None:
    for data in (json.dumps(words).encode(), json.dumps(words, ensure_ascii=False).encode()):
        assert text.mended(data) == data


@given(ANY)
def test_half_characters_become_a_mark(words: str) -> None:
    mended = text.mended(json.dumps({"a": words}).encode())
    found = msgspec.json.decode(mended)["a"]
    kept = words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert found.replace("\ufffd", "") == kept.replace("\ufffd", "")


@given(st.binary(max_size=40))
def test_bytes_that_are_no_utf_8_become_a_mark(data: bytes) -> None:
    assert text.mended(data).decode() == text.mended(data.decode(errors="replace").encode()).decode()


@pytest.mark.parametrize(
    ("data", "right"),
    [
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\uD83D"', rb'"\ufffd"'),
        (rb'"\ude00\ud83d"', rb'"\ufffd\ufffd"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),  # a backslash and letters
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
    ],
)
def test_escapes(data: bytes, right: bytes) -> None:
    assert text.mended(data) == right


def test_a_wrong_byte_is_found_where_steps_meet() -> None:
    data = b"x" * ((1 << 20) - 1) + "\u00e4".encode() + b"\xff"
    assert text.mended(data) == data[:-1] + "\ufffd".encode()
