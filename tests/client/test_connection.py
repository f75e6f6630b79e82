"""A connection to a daemon that dies at any moment."""

from __future__ import annotations

import select
import socket
import threading

import pytest

from aish.client import connection
from aish.client.connection import Client
from aish.errors import DisconnectedError, UnavailableError
from aish.wire import codec
from aish.wire.frame import Channel
from aish.wire.message import Signal, Wait
from aish.wire.reply import Done, Waited, Welcome


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


class Mortal(Client):
    """Its daemons die one after the other, the first ones after a while; the last one answers."""

    def __init__(self, lives_s: list[float]) -> None:
        self.lives_s = lives_s
        super().__init__(self.next_channel(), Welcome(version=1, pid=1, epoch=1), "test")

    def next_channel(self) -> Channel:
        ours, daemons = socket.socketpair()
        if self.lives_s:
            threading.Timer(self.lives_s.pop(0), _end, [daemons]).start()
        else:
            Channel(daemons).send(codec.encode(Waited(id="p1", state="exited")))
            self.last = daemons
        return Channel(ours)

    def reconnect(self, *, start: bool = True) -> None:
        self._channel.close()
        self._channel = self.next_channel()


def _end(daemons: socket.socket) -> None:
    daemons.shutdown(socket.SHUT_RDWR)
    daemons.close()


def test_a_long_wait_outlives_more_than_one_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time to find a new daemon ran from the request's begin: a long wait ended with its daemon."""
    monkeypatch.setattr(connection, "START_TIMEOUT_S", 0.05)
    monkeypatch.setattr(connection, "LIVED_S", 0.1)
    with Mortal([0.3, 0.3]) as client:
        assert client.ask(Waited, Wait(target="p1")).state == "exited"
        client.last.close()


def test_daemons_that_die_at_once_are_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "START_TIMEOUT_S", 0.05)
    with Mortal([0.001] * 2000) as client, pytest.raises(DisconnectedError):
        client.ask(Waited, Wait(target="p1"))


def test_a_wait_with_a_time_out_is_not_kept_by_a_daemon_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that was stopped (SIGSTOP) made one second for ever."""
    monkeypatch.setattr(connection, "LATE_S", 0.1)
    ours, daemons = socket.socketpair()
    client = Client(Channel(ours), Welcome(version=1, pid=1, epoch=1), "test")
    with pytest.raises(UnavailableError, match="does not answer"):
        client.ask(Waited, Wait(target="p1", timeout_s=0.1))
    daemons.close()


def test_a_repeated_wait_has_what_is_left_of_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each daemon began the time anew: with daemons that die a wait of a minute took any number of them."""
    now_s = 100.0
    monkeypatch.setattr(connection.time, "monotonic", lambda: now_s)
    trial = connection.Trial(Wait(target="p1", timeout_s=60.0))
    assert codec.decode_request(trial.body()) == Wait(target="p1", timeout_s=60.0)
    now_s = 145.0
    assert codec.decode_request(trial.body()) == Wait(target="p1", timeout_s=15.0)
    now_s = 200.0
    assert codec.decode_request(trial.body()) == Wait(target="p1", timeout_s=0.0)
    assert codec.decode_request(connection.Trial(Wait(target="p1", timeout_s=-1.0)).body()).timeout_s == -1.0


class Gone(Client):
    """Its first daemon was gone before the request; the next one answers."""

    def reconnect(self, *, start: bool = True) -> None:
        ours, daemons = socket.socketpair()
        Channel(daemons).send(codec.encode(Done()))
        self.last = daemons
        self._channel = Channel(ours)


def test_what_did_not_reach_the_daemon_is_sent_again_whatever_it_is() -> None:
    """A connection that was idle while the daemon was replaced: `signal` failed, as if it might have been done."""
    ours, daemons = socket.socketpair()
    daemons.close()
    with Gone(Channel(ours), Welcome(version=1, pid=1, epoch=1), "test") as client:
        assert client.ask(Done, Signal(target="p1", signal=1)).changed
        client.last.close()


def test_who_found_no_daemon_once_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: OSError 9, bad file descriptor, at the next request."""

    def gone(*words: object, **options: object) -> None:
        raise UnavailableError("no daemon")

    client = Mortal([])
    client.last.close()
    client.close()
    monkeypatch.setattr(connection, "_connected", gone)
    with pytest.raises(UnavailableError):
        Client.reconnect(client)
    assert isinstance(client.request(Wait(target="p1")), Waited)
    client.close()
    with pytest.raises(DisconnectedError):
        client.receive()
