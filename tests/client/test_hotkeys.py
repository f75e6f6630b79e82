"""The keys that are aish's while a terminal is attached: no other key is lost, none comes twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aish.client.hotkeys import Hotkeys

DETACH = b"\x1dd"


def test_the_sequence_detaches_however_it_arrives() -> None:
    assert Hotkeys(DETACH).feed(b"ls\x1ddrest") == (b"ls", "detach")
    keys = Hotkeys(DETACH)
    assert (keys.feed(b"ls\x1d"), keys.begun) == ((b"ls", None), True)
    assert keys.feed(b"d") == (b"", "detach")


def test_with_ctrl_z_for_its_last_key_it_suspends() -> None:
    assert Hotkeys(DETACH).feed(b"\x1d\x1a") == (b"", "suspend")
    assert Hotkeys(b"\x1c").feed(b"\x1a") == (b"\x1a", None), "a single key has no room for a second meaning"


def test_what_only_began_like_it_is_passed_on() -> None:
    keys = Hotkeys(DETACH)
    assert keys.feed(b"\x1dx") == (b"\x1dx", None)
    assert keys.feed(b"\x1d\x1d") == (b"\x1d", None)
    assert keys.give_up() == b"\x1d"
    assert keys.feed(b"d") == (b"d", None)


def test_without_a_sequence_all_is_the_process_s() -> None:
    assert Hotkeys(b"").feed(b"\x1dd\x1a") == (b"\x1dd\x1a", None)


@given(st.lists(st.binary(max_size=6)), st.sampled_from([DETACH, b"\x10\x11", b"\x01\x01d", b""]))
def test_no_key_is_lost_or_doubled(pieces: list[bytes], detach: bytes) -> None:
    keys, passed = Hotkeys(detach), b""
    for piece in pieces:
        got, deed = keys.feed(piece)
        passed += got
        if deed is not None:
            typed = b"".join(pieces)
            assert typed.startswith(passed + (detach if deed == "detach" else detach[:-1] + b"\x1a"))
            return
    assert passed + keys.give_up() == b"".join(pieces)
