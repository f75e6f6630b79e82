"""Server-sent events are the same events however the bytes arrive, and no stream can fill the memory."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.agents.sse import EVENT_BYTES_MAX, Decoder
from aish.errors import UpstreamError

STREAM = (
    b"\xef\xbb\xbf: welcome\n\n"
    b"data: one\n\n"
    b"event: message\r\nid: 7\r\ndata: two\r\ndata:  lines\r\n\r\n"
    b"data:three\r\r"
    b": ping\n\n"
    b"retry: 10\n\n"
    b"data: na\xc3\xafve \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\xa6\x8a\n\n"
    b"data\n\n"
    b"data: unfinished"
)
EVENTS = ["one", "two\n lines", "three", "naïve 日本 🦊", ""]


def decode(*pieces: bytes) -> list[str]:
    decoder = Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def test_whole_stream() -> None:
    assert decode(STREAM) == EVENTS


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_cut_at_every_byte(cut: int) -> None:
    """A line end, a CRLF or a character that is torn between two reads must not make or lose an event."""
    assert decode(STREAM[:cut], STREAM[cut:]) == EVENTS


def test_byte_by_byte() -> None:
    assert decode(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_any_cuts(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert decode(*(STREAM[a:b] for a, b in pairwise(edges))) == EVENTS


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=("Cs",))), min_size=1))
def test_what_was_sent_is_what_is_read(texts: list[str]) -> None:
    assert decode(b"".join(b"data: " + text.encode() + b"\n\n" for text in texts)) == texts


@given(st.binary(max_size=300))
def test_noise_never_breaks_it(noise: bytes) -> None:
    decode(noise, b"\n\ndata: after\n\n")


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 65536, b"data: " + b"x" * 1000 + b"\n", b"x" * 65536])
def test_an_endless_event_is_refused(piece: bytes) -> None:
    """A server that never ends its line, its event or its comment must not fill the memory."""
    decoder = Decoder()

    def endless() -> None:
        for _ in range(2 * EVENT_BYTES_MAX // len(piece) + 2):
            decoder.feed(piece)

    with pytest.raises(UpstreamError, match="an event of more than"):
        endless()
