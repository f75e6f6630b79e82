"""The answer reaches stdout as text files are: no blank head, one line end, no half sentence where none is wanted."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.agents.stdout import DownstreamError, Stdout
from aish.errors import StorageError, UsageError


def written(*pieces: str) -> str:
    reading, writing = os.pipe()
    try:
        out = Stdout(writing)
        for piece in pieces:
            out.write(piece)
        out.end()
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        return stream.read().decode()


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (("Hello", " world"), "Hello world\n"),
        (("\n", " ", "Hello", "\n\n", "world", "\n", "\n"), "Hello\n\nworld\n"),
        ((), ""),
        (("  ", "\n"), ""),
        (("a\n",), "a\n"),
    ],
)
def test_white_space_at_the_ends(pieces: tuple[str, ...], shown: str) -> None:
    assert written(*pieces) == shown


@given(st.lists(st.text(st.sampled_from(" \nab."), max_size=6)))
def test_pieces_are_joined_as_they_are(pieces: list[str]) -> None:
    whole = "".join(pieces).strip()
    assert written(*pieces) == (whole + "\n" if whole else "")


def test_every_piece_is_out_before_the_next() -> None:
    reading, writing = os.pipe()
    out = Stdout(writing)
    out.write("one")
    assert os.read(reading, 100) == b"one"
    out.write(" two ")
    assert os.read(reading, 100) == b" two"
    os.close(reading)
    os.close(writing)


def test_joined_parts_are_paragraphs() -> None:
    reading, writing = os.pipe()
    out = Stdout(writing)
    for part in ("one ", "two", "three"):
        out.next_part()
        out.write(part)
    out.end()
    assert os.read(reading, 100) == b"one\n\ntwo\n\nthree\n"
    os.close(reading)
    os.close(writing)


def test_a_reader_that_left() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(DownstreamError):
        Stdout(writing).write("x")
    os.close(writing)


def test_a_full_disk() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(StorageError, match="No space left") as caught:
        Stdout(full).write("x")
    assert caught.value.hint == "free some space and try again"
    os.close(full)


def test_a_closed_stdout() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with pytest.raises(UsageError, match="stdout is closed"):
        Stdout(writing).write("x")


def test_a_non_blocking_pipe_loses_nothing() -> None:
    """Some parents leave O_NONBLOCK on a shared pipe; a full one must be waited for."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    text = "word " * 60_000
    got = bytearray()

    def drain() -> None:
        while piece := os.read(reading, 4096):
            got.extend(piece)

    thread = threading.Thread(target=drain)
    thread.start()
    out = Stdout(writing)
    out.write(text)
    out.end()
    os.close(writing)
    thread.join(30)
    os.close(reading)
    assert got.decode() == text.rstrip() + "\n"
