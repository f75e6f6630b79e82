"""Frames survive any cut, carry their own descriptors, and bound what a hostile peer can cost."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.errors import DisconnectedError, InputError
from aish.wire import frame

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pair() -> Iterator[tuple[frame.Channel, frame.Channel]]:
    left, right = socket.socketpair()
    channels = frame.Channel(left), frame.Channel(right)
    yield channels
    for channel in channels:
        channel.close()


@given(st.lists(st.binary(max_size=300), max_size=6), st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_frames_come_out_whole_however_the_stream_is_cut(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(frame.pack, bodies))
    decoder = frame.Decoder()
    got, place, turn = [], 0, 0
    while place < len(stream):
        step = cuts[turn % len(cuts)]
        got += [body for body, _ in decoder.feed(stream[place : place + step], [])]
        place, turn = place + step, turn + 1
    assert got == bodies
    assert not decoder.pending


@given(st.binary(max_size=200))
def test_junk_never_raises_anything_but_an_input_error(data: bytes) -> None:
    decoder = frame.Decoder()
    try:
        decoder.feed(data, [])
    except InputError:
        assert not decoder.pending


def test_a_length_above_the_bound_is_refused_before_anything_is_allocated() -> None:
    with pytest.raises(InputError, match="above the bound"):
        frame.Decoder().feed(b"\xff\xff\xff\xff\x00", [])


def test_descriptors_belong_to_the_frame_that_announced_them(pair: tuple[frame.Channel, frame.Channel]) -> None:
    """The kernel may deliver the end of one frame with the descriptors of the next."""
    left, right = pair
    read, write = os.pipe()
    left.send(b"first")
    left.send(b"second", [write])
    left.send(b"third")
    os.close(write)
    assert right.receive() == (b"first", [])
    body, fds = right.receive()
    assert body == b"second"
    assert len(fds) == 1
    os.write(fds[0], b"x")
    assert os.read(read, 1) == b"x"
    assert right.receive() == (b"third", [])
    os.close(fds[0])
    os.close(read)


def test_descriptors_of_an_unfinished_frame_are_given_back(pair: tuple[frame.Channel, frame.Channel]) -> None:
    """A peer that dies in mid-frame must not leak its descriptors into us."""
    left, right = pair
    read, write = os.pipe2(os.O_CLOEXEC)
    before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(left.sock, [frame.pack(b"x" * 100, 1)[:20]], [write])
    left.sock.shutdown(socket.SHUT_WR)
    with pytest.raises(DisconnectedError):
        right.receive()
    right.close()
    os.close(write)
    os.close(read)
    assert len(os.listdir("/proc/self/fd")) == before - 3  # right's socket, the pipe


def test_announced_descriptors_that_did_not_come_are_refused() -> None:
    with pytest.raises(InputError, match="announces 2 descriptors"):
        frame.Decoder().feed(frame.pack(b"x", 2), [])


def test_a_body_above_the_bound_is_not_sent() -> None:
    with pytest.raises(InputError, match="above the bound"):
        frame.pack(bytes(frame.MAX_FRAME_BYTES + 1))


def test_a_peer_that_died_is_an_error_and_no_signal() -> None:
    """In a shell's own process and in its stages SIGPIPE has its default action: it ended them with the daemon."""
    code = """
import os, signal, socket
from aish.errors import DisconnectedError
from aish.wire import frame
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
for fds in ([], [0]):
    left, right = socket.socketpair()
    right.close()
    try:
        frame.Channel(left).send(b"x", fds)
    except DisconnectedError:
        print("told", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "told\ntold\n"), done.stderr
