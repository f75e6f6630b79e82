"""A connection to a daemon that dies at any moment."""

from __future__ import annotations

import select
import socket

import pytest

from aish.client.connection import Client
from aish.errors import DisconnectedError
from aish.wire.frame import Channel
from aish.wire.message import Wait, Welcome


def test_a_daemon_that_is_gone_already_is_told_by_receive_alone() -> None:
    """Who watches the descriptor looks after the end in one place; `send` raised it in another, which nobody did."""
    ours, daemons = socket.socketpair()
    client = Client(Channel(ours), Welcome(version=1, pid=1, epoch=1), "test")
    daemons.close()
    client.send(Wait(target="p1"))
    assert select.select([client], [], [], 5)[0], "the caller is woken"
    with pytest.raises(DisconnectedError):
        client.receive()
    client.close()
