"""Whether a client that sends no more is still there, by the kernel's own word."""

from __future__ import annotations

import errno
import socket

import pytest

from aish.supervisor.gateway import peer
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


@pytest.mark.parametrize("error", [None, errno.EPROTONOSUPPORT, errno.EMFILE])
def test_a_kernel_that_tells_nothing_is_asked_once(monkeypatch: pytest.MonkeyPatch, error: int | None) -> None:
    """Each question had it look for its module again, in the middle of all that the gateway does."""
    asked = []

    def lacks(*ends: object) -> int:
        asked.append(ends)
        if error is not None:
            raise OSError(error, "")
        return 0  # as of a socket that is gone

    monkeypatch.setattr(peer, "_inode", lacks)
    host = f"127.0.0.{100 + (error or 0)}"  # what is known of it stays
    assert [is_open((host, 1), (host, 2)) for _ in range(3)] == [False] * 3
    assert len(asked) == (3 if error == errno.EMFILE else 1), "only what passes is asked again"
