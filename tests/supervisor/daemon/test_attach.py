"""Attach: one writer, several viewers, over runs and daemons; who may not write has nothing to write with."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from aish.client import Client, connect
from aish.errors import ConflictError
from aish.supervisor.daemon.seats import Seats
from aish.wire.message import Attach
from aish.wire.reply import Attached, Waited

from .conftest import Supervised

if TYPE_CHECKING:
    from collections.abc import Iterator


class Place:
    """One connection at a terminal."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.fds: list[int] = []

    def news(self) -> Attached | Waited:
        reply, fds = self.client.receive_with_fds()
        self.fds += fds
        assert isinstance(reply, Attached | Waited)
        return reply

    def attached(self) -> Attached:
        reply = self.news()
        assert isinstance(reply, Attached)
        return reply

    def type(self, text: bytes) -> None:
        os.write(self.fds[-1], text)


@contextmanager
def at(target: str, *, write: bool = True, take: bool = False) -> Iterator[Place]:
    with connect(program="test") as client:
        place = Place(client)
        client.send(Attach(target=target, write=write, take=take, terminal="/dev/pts/9"))
        try:
            yield place
        finally:
            for fd in place.fds:
                os.close(fd)


def test_the_first_writes_and_the_others_have_no_descriptor(up: Supervised) -> None:
    started = up.spawn("cat", pty=True)
    with at("cat") as first, at("cat", write=False) as viewer:
        said = first.attached()
        assert (said.id, said.name, said.writer, len(first.fds)) == (started.id, "cat", True, 1)
        assert said.lease == f"pid {os.getpid()} at /dev/pts/9"
        seen = viewer.attached()
        assert (seen.writer, seen.lease, viewer.fds) == (False, said.lease, [])
        with at("cat") as late:
            assert (late.attached().writer, late.fds) == (False, [])
            assert up.inspect("cat").attached == 3
        first.type(b"typed\n")
        up.until("it reads", lambda: up.log("cat")[0] == "typed\r\ntyped\r\n")


def test_the_lease_ends_with_its_connection(up: Supervised) -> None:
    up.spawn("cat", pty=True)
    with at("cat") as first:
        first.attached()
    up.until("it has left", lambda: up.inspect("cat").attached == 0)
    with at("cat") as second:
        assert second.attached().writer


def test_who_takes_the_lease_has_it_and_the_other_is_told(up: Supervised) -> None:
    up.spawn("cat", pty=True)
    with at("cat") as first:
        first.attached()
        with at("cat", take=True) as second:
            assert second.attached().writer
            lost = first.attached()
            assert (lost.writer, len(first.fds)) == (False, 1), "no second descriptor"
            assert up.inspect("cat").attached == 2


def test_the_end_is_told_to_all(up: Supervised) -> None:
    up.spawn("sh", "-c", "read x; exit 3", pty=True, name="job")
    with at("job") as first, at("job", write=False) as viewer:
        first.attached()
        viewer.attached()
        first.type(b"\n")
        for place in (first, viewer):
            end = place.news()
            assert isinstance(end, Waited)
            assert end.exit is not None
            assert end.exit.code == 3
    with at("job") as late:
        assert isinstance(late.news(), Waited)


def test_each_run_has_its_own_terminal(up: Supervised) -> None:
    """The master of the run before is dead: who stayed attached would type into nothing."""
    up.spawn("sh", "-c", "echo begun; read x; echo got $x; test $x = end", pty=True, name="job", restart="on-failure")
    with at("job") as place:
        place.attached()
        place.type(b"one\n")
        assert place.attached().writer
        assert len(place.fds) == 2
        place.type(b"end\n")
        end = place.news()
        assert isinstance(end, Waited)
        assert end.exit is not None
        assert end.exit.code == 0
    assert up.log("job")[0].count("begun") == 2


@pytest.mark.usefixtures("home")
def test_the_next_daemon_gives_the_lease_to_who_comes_first(up: Supervised) -> None:
    up.spawn("cat", pty=True)
    with at("cat") as first:
        first.attached()
        os.kill(up.daemon_pid, signal.SIGKILL)
        up.client.reconnect()
        with at("cat") as second:
            assert second.attached().writer
            first.client.reconnect()
            first.client.send(Attach(target="cat", write=True))
            assert not first.attached().writer
            second.type(b"still here\n")
            up.until("it reads", lambda: "still here\r\nstill here" in up.log("cat")[0])


def test_what_has_no_terminal(up: Supervised) -> None:
    with at(up.spawn("sleep", "61").id) as place, pytest.raises(ConflictError, match="has no terminal"):
        place.news()


ASK = """
import sys
from aish.client import connect
from aish.errors import AishError
from aish.wire.message import Attach
with connect(start=False) as client:
    try:
        client.send(Attach(target=sys.argv[1], write=True, take=True))
        print(type(client.receive()).__name__)
    except AishError as error:
        print(error.code)
"""


def test_a_process_attaches_only_below_itself(up: Supervised) -> None:
    """An agent that could type into a terminal of the user's would have his rights."""
    up.spawn("cat", pty=True, name="users")
    spawned = "; ".join(
        [
            f"{sys.executable} -c '{ASK}' users",
            f"{sys.executable} -c '{ASK}' agent",
            f"{sys.executable} -m aish spawn --pty --name child cat",
            f"{sys.executable} -c '{ASK}' child",
        ]
    )
    up.spawn("sh", "-c", spawned, name="agent", pty=True)
    assert up.code("agent") == 0
    answers = [line for line in up.log("agent")[0].split() if line in ("refused", "Attached", "conflict")]
    assert answers == ["refused", "refused", "Attached"]
    with at("users") as place:
        assert place.attached().writer


def test_nobody_attaches_to_what_his_own_terminal_belongs_to(up: Supervised) -> None:
    up.spawn(sys.executable, "-c", ASK, "mine", name="mine", pty=True, rights="owner")
    assert up.code("mine") == 0
    assert up.log("mine")[0].strip() == "conflict"


def test_a_seat_with_the_lease_is_one_of_them() -> None:
    seats = Seats()
    first = seats.sit("p1", "a", write=True, take=False)
    second = seats.sit("p1", "b", write=True, take=False)
    third = seats.sit("p1", "c", write=True, take=True)
    assert [seat.writer for seat in (first, second, third)] == [False, False, True]
    seats.leave("p1", third)
    assert seats.writer("p1") is None
    assert seats.sit("p1", "d", write=False, take=False).writer is False
    assert (seats.count("p1"), seats.count("p2")) == (3, 0)
