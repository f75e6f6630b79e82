"""Whether a client that sends no more is still there, by the kernel's own word."""

from __future__ import annotations

import socket

import pytest

from aish.supervisor.gateway.peer import is_open


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_who_only_sends_no_more_is_there_and_who_closed_is_not(family: socket.AddressFamily) -> None:
    try:
        listener = socket.create_server(("127.0.0.1" if family == socket.AF_INET else "::1", 0), family=family)
    except OSError as error:
        pytest.skip(f"no such loopback here: {error}")
    with listener, socket.create_connection(listener.getsockname()[:2]) as client:
        ours, _ = listener.accept()
        with ours:
            ends = ours.getsockname(), ours.getpeername()
            assert is_open(*ends)
            client.shutdown(socket.SHUT_WR)
            assert ours.recv(1) == b""
            assert is_open(*ends)
            client.close()
            assert not is_open(*ends)


@pytest.mark.parametrize("ends", [((), ()), (("here", 1), ("127.0.0.1", 1)), (("127.0.0.1", 1), ("127.0.0.1", 1))])
def test_what_nobody_can_tell_is_not_open(ends: tuple[tuple[object, ...], tuple[object, ...]]) -> None:
    assert not is_open(*ends)
