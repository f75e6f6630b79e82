"""Bytes from terminals, whole and torn."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.top.keys import Keys


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", ["q"]),
        (b"pk?", ["p", "k", "?"]),
        (b"\x1b[A\x1b[B\x1bOA", ["up", "down", "up"]),
        (b"\x1b[5~\x1b[6~\x1b[H\x1bOF\x1b[1~", ["page-up", "page-down", "home", "end", "home"]),
        (b"\x1b", ["esc"]),
        (b"\r\n\x7f\x08", ["enter", "enter", "backspace", "backspace"]),
        (b"\x03\x04\x0c\x0e\x10", ["ctrl-c", "ctrl-d", "ctrl-l", "down", "up"]),
        ("é模".encode(), ["é", "模"]),
        (b"\x1b[1;5A", []),
        (b"\x1b[200~x\x1b[201~", ["x"]),
        (b"\x1ba", []),
        (b"\x00\x01", []),
        (b"\xffq", ["q"]),
    ],
)
def test_keys(data: bytes, keys: list[str]) -> None:
    assert Keys().feed(data) == keys


def test_a_sequence_in_two_reads_is_one_key() -> None:
    keys = Keys()
    assert keys.feed(b"\x1b[") == []
    assert keys.feed(b"Aq") == ["up", "q"]


def test_a_character_in_two_reads_is_one_key() -> None:
    keys = Keys()
    assert keys.feed("模".encode()[:1]) == []
    assert keys.feed("模".encode()[1:] + b"q") == ["模", "q"]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=20))
def test_junk_never_fails_and_never_piles_up(reads: list[bytes]) -> None:
    keys = Keys()
    for data in reads:
        for key in keys.feed(data):
            assert key.isprintable()
        assert len(keys._left) <= 64
