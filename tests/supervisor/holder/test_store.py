"""Kept descriptors come back as they were, and a pty that nobody reads never stalls its child."""

from __future__ import annotations

import os
import pty
import resource
import select
import signal
import socket
import tty
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.holder import wire
from aish.supervisor.holder.store import Entry

if TYPE_CHECKING:
    from .conftest import World

LINES = 20_000


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


class Terminal:
    """A raw pty whose master is stored as "pty", and the log it is drained to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log = world.folder / "pty.log"
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        world.call("store", [self.master], name="pty")

    def drain(self) -> None:
        fd = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.world.call("drain", [fd], name="pty")
        os.close(fd)

    def spawn(self, id: str, script: str) -> None:
        self.world.spawn(id, ["sh", "-c", script], [self.slave] * 3, pty=True)

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(held: World):
    made = Terminal(held)
    yield made
    made.close()


def test_store_fetch_drop(held: World) -> None:
    """The very open files, in order; a name is replaced as a whole; everything is closed in the end."""
    before = [descriptors(held.hello[who]) for who in ("pid", "keeper_pid")]
    ours, theirs = os.pipe()
    left, right = socket.socketpair()
    held.call("store", [held.null], name="n")
    held.call("store", [ours, theirs, left.fileno()], name="n")
    message = held.link.call("fetch", name="n")
    assert message.body["count"] == 3
    os.write(message.fds[1], b"through")
    assert os.read(ours, 100) == b"through"
    right.send(b"there")
    assert socket.socket(fileno=os.dup(message.fds[2])).recv(100) == b"there"
    assert all(not os.get_inheritable(fd) for fd in message.fds)
    for fd in (*message.fds, ours, theirs):
        os.close(fd)
    left.close()
    right.close()
    assert [row["count"] for row in held.everything("names")["names"]] == [3]
    assert held.call("drop", name="n")["dropped"] is True
    assert held.call("drop", name="n")["dropped"] is False
    for op in ("fetch", "drain"):
        with pytest.raises(wire.Refusal) as refused:
            held.call(op, [held.null] if op == "drain" else [], name="n")
        assert refused.value.code == "unknown-name"
    with pytest.raises(wire.Refusal) as refused:
        held.call("store", name="n")
    assert refused.value.code == "fds"
    held.eventually(
        lambda: [descriptors(held.hello[who]) for who in ("pid", "keeper_pid")] == before, "all is closed"
    )


def test_names_page(held: World) -> None:
    """More names than one datagram holds."""
    names = sorted(f"{'n' * 100}{number}" for number in range(400))
    for name in names:
        held.call("store", [held.null], name=name)
    assert [row["name"] for row in held.everything("names")["names"]] == names
    assert held.call("names")["next"] is not None


def test_unread_pty_is_drained_to_the_byte(held: World, terminal: Terminal) -> None:
    """Megabytes through a terminal that nobody looks at: the child ends, the log has every byte once, in order."""
    terminal.drain()
    terminal.spawn("p1", f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done; exit 3")
    terminal.close()
    assert held.exit("p1")["status"] == 3 << 8
    held.events(lambda seen: any(event["event"] == "drained" for event in seen))
    event = next(event for event in held.seen if event["event"] == "drained")
    assert event == {"event": "drained", "name": "pty", "lost_bytes": 0, "errno": None}
    assert terminal.log.read_text() == "".join(f"line {number}\n" for number in range(LINES))
    (row,) = held.everything("names")["names"]
    assert (row["draining"], row["drained"]) == (False, True)
    terminal.master, terminal.slave = os.dup(held.null), os.dup(held.null)


def test_drain_goes_on_after_holder_and_keeper_died(held: World, terminal: Terminal) -> None:
    """What is written while they change places waits in the pty; the new holder goes on with the same log."""
    terminal.drain()
    ours, theirs = os.pipe()
    script = "while read word; do echo $word; done; exit 4"
    held.spawn("p1", ["sh", "-c", script], [ours, terminal.slave, terminal.slave])
    os.close(ours)
    expected = ""
    for number, who in enumerate(("pid", "keeper_pid", "pid")):
        os.write(theirs, b"before%d\n" % number)
        expected += f"before{number}\n"
        held.eventually(lambda text=expected: terminal.log.read_text() == text, "the log has it")
        held.replace(who)
    os.write(theirs, b"after\n")
    held.eventually(lambda: terminal.log.read_text() == expected + "after\n", "the log has all of it")
    os.close(theirs)
    held.eventually(lambda: any(row["id"] == "p1" for row in held.everything()["exits"]), "it ended")


def test_drain_to_a_new_log(held: World, terminal: Terminal) -> None:
    """A second drain changes the log (rotation) and loses nothing."""
    terminal.drain()
    assert not os.get_blocking(terminal.master)  # whoever else reads from it, the holder never waits
    os.write(terminal.slave, b"old")
    held.eventually(lambda: terminal.log.read_text() == "old", "the first log has it")
    terminal.log = held.folder / "new.log"
    terminal.drain()
    os.write(terminal.slave, b"new")
    held.eventually(lambda: terminal.log.read_text() == "new", "the second log has it")
    assert (held.folder / "pty.log").read_text() == "old"


def test_bytes_that_the_log_refuses_are_counted(held: World, terminal: Terminal) -> None:
    """A full disk (here: a file size limit of the holder's) stalls no child; how much was lost is told."""
    resource.prlimit(held.hello["pid"], resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    terminal.drain()
    terminal.spawn("p1", "head -c 5000 /dev/zero")
    terminal.close()
    assert held.exit("p1")["status"] == 0
    held.events(lambda seen: any(event["event"] == "drained" for event in seen))
    event = next(event for event in held.seen if event["event"] == "drained")
    assert event["lost_bytes"] == 4000
    assert event["errno"] is not None
    assert terminal.log.stat().st_size == 1000
    terminal.master, terminal.slave = os.dup(held.null), os.dup(held.null)


def test_bad_drains_are_refused(held: World, terminal: Terminal, tmp_path: Path) -> None:
    """A log that could make the holder wait or would be overwritten; a name that is no terminal."""
    ours, theirs = os.pipe()
    path = tmp_path / "x"
    for fd in (
        os.dup(theirs),
        os.open(path, os.O_WRONLY | os.O_CREAT),
        os.open(path, os.O_RDONLY | os.O_APPEND),
        os.open(path, os.O_PATH),
    ):
        with pytest.raises(wire.Refusal) as refused:
            held.call("drain", [fd], name="pty")
        assert refused.value.code == "bad-request"
        os.close(fd)
    held.call("store", [ours], name="pipe")
    good = os.open(path, os.O_WRONLY | os.O_APPEND)
    with pytest.raises(wire.Refusal):
        held.call("drain", [good], name="pipe")
    with pytest.raises(wire.Refusal):
        held.call("drain", [good, good], name="pty")
    for fd in (good, ours, theirs):
        os.close(fd)


def test_dropping_a_draining_name_hangs_up(held: World, terminal: Terminal) -> None:
    """Nothing is left open: the child gets SIGHUP, as when a terminal closes."""
    terminal.drain()
    terminal.spawn("p1", "sleep 1000")
    held.call("drop", name="pty")
    os.close(terminal.master)
    assert os.WTERMSIG(held.exit("p1")["status"]) == signal.SIGHUP
    terminal.master = os.dup(held.null)


def test_drain_of_an_empty_master_does_not_wait() -> None:
    """Another reader took what poll had announced: read must not block the holder."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    entry = Entry("pty", [master], os.open("/dev/null", os.O_WRONLY))
    assert entry.drain() is False
    os.close(slave)
    assert select.select([master], [], [], 5)[0]
    assert entry.drain() is True
    assert entry.drained
    entry.close()
