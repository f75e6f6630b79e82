"""The holder, the keeper, one after the other, by SIGKILL: children run on, codes are known, nothing starts twice."""

from __future__ import annotations

import os
import pty
import resource
import select
import signal
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.holder import kernel, link, wire

if TYPE_CHECKING:
    from .conftest import World

WAITER = ["sh", "-c", "read code; exit $code"]


class Waiters:
    """Children that end with the code that they are told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.pipes: dict[str, int] = {}
        self.pids: dict[str, int] = {}

    def start(self, id: str) -> None:
        ours, theirs = os.pipe()
        self.pids[id] = self.world.spawn(id, WAITER, [ours, self.world.null, self.world.null])["pid"]
        os.close(ours)
        self.pipes[id] = theirs

    def end(self, id: str, code: int) -> None:
        pipe = self.pipes.pop(id)
        os.write(pipe, b"%d\n" % code)
        os.close(pipe)
        assert self.world.gone(self.pids[id])

    def close(self) -> None:
        for pipe in self.pipes.values():
            os.close(pipe)


@pytest.fixture
def waiters(held: World):
    made = Waiters(held)
    yield made
    made.close()


def statuses(world: World) -> dict[str, int | None]:
    """Exit codes by id, as listed; None where unknown."""
    return {
        row["id"]: None if row["status"] is None else os.waitstatus_to_exitcode(row["status"])
        for row in world.everything()["exits"]
    }


def living(world: World) -> dict[str, int]:
    return {row["id"]: row["pid"] for row in world.everything()["children"]}


def test_holder_killed(held: World, waiters: Waiters) -> None:
    """Children live on under the keeper; exits before, during and after are all known; new ones can start."""
    for id in ("before", "unacked", "during", "after", "killed"):
        waiters.start(id)
    waiters.end("before", 3)
    held.exit("before")
    held.call("ack", ids=["before"])
    waiters.end("unacked", 4)
    held.exit("unacked")
    old, keeper = held.hello["pid"], held.hello["keeper_pid"]
    os.kill(keeper, signal.SIGSTOP)
    os.kill(old, signal.SIGKILL)
    waiters.end("during", 5)
    os.kill(keeper, signal.SIGCONT)
    held.connect()
    assert held.hello["keeper_pid"] == keeper
    assert held.hello["pid"] != old
    held.eventually(lambda: "during" in statuses(held), "what ended in between is known")
    assert living(held) == {id: waiters.pids[id] for id in ("after", "killed")}
    waiters.end("after", 6)
    held.call("signal", id="killed", sig=signal.SIGKILL, group=True)
    assert os.waitstatus_to_exitcode(held.exit("killed")["status"]) == -signal.SIGKILL
    event = held.exit("after")
    assert event["maxrss_bytes"] > 0
    assert statuses(held) == {"unacked": 4, "during": 5, "after": 6, "killed": -9}
    with pytest.raises(wire.Refusal) as refused:
        held.call("signal", id="after", sig=0)
    assert refused.value.code == "reaped"
    held.call("ack", ids=["unacked", "during", "after", "killed"])
    waiters.start("new")
    waiters.end("new", 7)
    assert os.waitstatus_to_exitcode(held.exit("new")["status"]) == 7
    held.kill("pid")
    held.connect()
    assert statuses(held) == {"new": 7}


def test_keeper_killed(held: World, waiters: Waiters) -> None:
    """The holder becomes the keeper: nothing about its children changes, usage included."""
    for id in ("unacked", "after"):
        waiters.start(id)
    waiters.end("unacked", 4)
    held.exit("unacked")
    holder = held.hello["pid"]
    held.replace("keeper_pid")
    assert held.hello["keeper_pid"] == holder
    assert living(held) == {"after": waiters.pids["after"]}
    waiters.end("after", 6)
    assert held.exit("after")["maxrss_bytes"] > 0
    assert statuses(held) == {"unacked": 4, "after": 6}


def test_they_die_in_turn_many_times(held: World, waiters: Waiters) -> None:
    """Holder and keeper alternate for ever without a loss, as long as one of them is there."""
    for number in range(12):
        waiters.start(f"p{number}")
        held.replace("pid")
    assert living(held) == waiters.pids
    for number in range(12):
        waiters.end(f"p{number}", number)
    for number in range(12):
        held.eventually(lambda number=number: f"p{number}" in statuses(held), "the exit is known")
    assert statuses(held) == {f"p{number}": number for number in range(12)}


def test_holder_then_keeper_killed(held: World, waiters: Waiters) -> None:
    """Children of a holder that died were the keeper's: they go to init. Where the kernel tells (6.15) the code is
    known, else it is unknown; never a wrong one, and a signal still reaches them, theirs alone."""
    for id in ("inherited", "ends-unseen", "to-kill"):
        waiters.start(id)
    held.replace("pid")
    waiters.start("own")
    held.replace("keeper_pid")
    assert living(held) == waiters.pids
    held.call("signal", id="to-kill", sig=signal.SIGKILL, group=True)
    assert held.gone(waiters.pids["to-kill"])
    waiters.end("inherited", 3)
    waiters.end("own", 4)
    assert os.waitstatus_to_exitcode(held.exit("own")["status"]) == 4
    for id, right in (("inherited", 3 << 8), ("to-kill", signal.SIGKILL)):
        status = held.exit(id)["status"]
        assert status in ((right,) if kernel_tells() else (right, None))
    held.replace("pid")
    assert living(held) == {"ends-unseen": waiters.pids["ends-unseen"]}


def test_orphans_whom_init_does_not_reap(world: World) -> None:
    """Their ends were told seconds late: only a reaped one tells its status to a pidfd, and some inits take their
    time. This process stands for one that never does; a zombie's status can be read."""
    kernel.become_subreaper()
    waiters = Waiters(world)
    try:
        world.launch()
        world.connect()
        for id in ("seven", "zero", "killed"):
            waiters.start(id)
        roles = [world.hello["pid"], world.hello["keeper_pid"]]
        world.replace("pid")
        world.replace("keeper_pid")
        waiters.end("seven", 7)
        waiters.end("zero", 0)
        world.call("signal", id="killed", sig=signal.SIGKILL)
        ends = {id: world.exit(id)["status"] for id in waiters.pids}
        assert ends == {"seven": 7 << 8, "zero": 0, "killed": signal.SIGKILL}
        assert all(os.path.exists(f"/proc/{pid}") for pid in waiters.pids.values()), "somebody reaped them"
    finally:
        kernel._libc.prctl(36, 0, 0, 0, 0)
        for pipe in waiters.pipes.values():
            os.close(pipe)
        for pid in (*waiters.pids.values(), roles[1]):
            os.waitpid(pid, 0)


def kernel_tells() -> bool:
    """Whether PIDFD_GET_INFO knows exit codes here (PIDFD_INFO_EXIT)."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(minor)) >= (6, 15)


def test_keeper_then_holder_killed(held: World, waiters: Waiters) -> None:
    """The holder that became the keeper inherits like the first one: it reaps, so it knows even the usage."""
    waiters.start("first")
    held.replace("keeper_pid")
    waiters.start("second")
    held.replace("pid")
    waiters.start("third")
    for number, id in enumerate(("first", "second", "third")):
        waiters.end(id, number)
        assert held.exit(id)["maxrss_bytes"] > 0
    assert statuses(held) == {"first": 0, "second": 1, "third": 2}


def test_orphans_of_children_come_to_the_holder(held: World) -> None:
    """Who lost its parents stays within the holder's tree, where its origin can still be told."""
    ours, theirs = os.pipe()
    held.spawn("p1", ["sh", "-c", "setsid sleep 1000 & echo $!"], [held.null, theirs, held.null])
    os.close(theirs)
    with open(ours) as pipe:
        orphan = int(pipe.readline())
    held.note(orphan)
    held.exit("p1")
    for _ in range(3):
        with open(f"/proc/{orphan}/stat") as file:
            assert int(file.read().rpartition(")")[2].split()[1]) in (held.hello["pid"], held.hello["keeper_pid"])
        held.replace("pid")


def test_ghosts_never_start(held: World) -> None:
    """A spawn in flight when the holder dies either runs and is known, or has not run; asked again it runs once."""
    counter = held.folder / "ran"
    fd = os.open(counter, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    total = 0
    for number in range(40):
        ids = [f"r{number}-{at}" for at in range(8)]
        for id in ids:
            held.link.spawn(id, held.payload(["sh", "-c", f"echo {id}; exit {len(id)}"]), [held.null, fd, held.null])
        poll = select.poll()
        poll.register(held.link, select.POLLIN)
        poll.poll(number % 10)
        held.replace("pid" if number % 3 else "keeper_pid")
        for id in ids:
            held.spawn(id, ["sh", "-c", f"echo {id}; exit {len(id)}"], [held.null, fd, held.null])
        held.eventually(lambda ids=ids: set(ids) <= set(statuses(held)), "all have ended")
        known = statuses(held)
        assert {known[id] for id in ids} <= {len(ids[0]), None}
        held.call("ack", ids=ids)
        total += len(ids)
    os.close(fd)
    lines = counter.read_text().split()
    assert len(lines) == len(set(lines)) == total


def test_stored_descriptors_survive(held: World) -> None:
    """Pty masters, pipes and sockets: the keeper's duplicates, given back; dropped ones are not."""
    master, slave = pty.openpty()
    ours, theirs = os.pipe()
    held.call("store", [master], name="pty")
    held.call("store", [ours, theirs], name="pipe")
    held.call("store", [ours], name="dropped")
    held.call("drop", name="dropped")
    os.write(theirs, b"inside")
    for fd in (master, ours, theirs):
        os.close(fd)
    for who in ("pid", "keeper_pid", "pid"):
        held.replace(who)
        assert [(row["name"], row["count"]) for row in held.everything("names")["names"]] == [("pipe", 2), ("pty", 1)]
        os.write(slave, b"still open\n")
        kept = held.link.call("fetch", name="pty").fds
        assert os.read(kept[0], 100).endswith(b"still open\r\n")
        os.close(kept[0])
    kept = held.link.call("fetch", name="pipe").fds
    assert os.read(kept[0], 100) == b"inside"
    for fd in (*kept, slave):
        os.close(fd)


def test_both_killed_leaves_children_and_a_free_folder(held: World, waiters: Waiters) -> None:
    """Nobody here remembers them, they run on, and what the client kept (pid, start time) still names them."""
    waiters.start("p1")
    listed = held.everything()["children"][0]
    os.kill(held.hello["pid"], signal.SIGSTOP)  # so that it cannot take over in between
    held.kill("keeper_pid")
    held.kill("pid")
    assert held.alive(waiters.pids["p1"])
    pidfd = kernel.pidfd_of(listed["pid"], listed["start_time"])
    assert pidfd is not None
    assert kernel.pidfd_of(listed["pid"], listed["start_time"] + 1) is None
    held.launch()
    held.connect()
    assert held.everything() == {"children": [], "exits": []}
    waiters.end("p1", 9)
    if kernel_tells():
        held.eventually(lambda: kernel.pidfd_status(pidfd) is not None, "init has reaped it")
        assert kernel.pidfd_status(pidfd) == 9 << 8
    os.close(pidfd)


def test_stopped_keeper_blocks_nothing(held: World) -> None:
    """Its queue fills up; the holder goes on, and the keeper is right again once it runs."""
    keeper = held.hello["keeper_pid"]
    before = descriptors(keeper)
    os.kill(keeper, signal.SIGSTOP)
    try:
        for number in range(600):
            held.call("store", [held.null] * 8, name=f"n{number % 50}")
        held.spawn("p1", ["true"])
        assert held.exit("p1")["status"] == 0
    finally:
        os.kill(keeper, signal.SIGCONT)
    held.call("drop", name="n0")
    held.eventually(lambda: descriptors(keeper) == before + 49 * 8, "the keeper has caught up")
    held.replace("pid")
    assert len(held.everything("names")["names"]) == 49


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_nothing_leaks_over_many_takeovers(held: World, waiters: Waiters) -> None:
    """Descriptors and memory of either role do not grow with the number of deaths."""
    waiters.start("p1")
    held.call("store", [held.null], name="n")

    def count() -> list[int]:
        return sorted(descriptors(held.hello[who]) for who in ("pid", "keeper_pid"))

    counts: list[list[int]] = []
    for number in range(10):
        held.replace(("pid", "keeper_pid")[number % 2])
        if number < 4:
            counts.append(count())
        else:  # one that has just forked the other may not have closed that one's end yet
            held.eventually(lambda most=counts[2 + number % 2]: count() <= most, "no more descriptors than before")


def test_fault_in_the_holder_is_recorded_and_survived(held: World, waiters: Waiters) -> None:
    """One that cannot go on (here: no memory) leaves; the log says so, and the next one has everything."""
    waiters.start("p1")
    resource.prlimit(held.hello["pid"], resource.RLIMIT_AS, (1 << 20, 1 << 20))
    memfd = wire.payload_fd(held.payload(["x" * 4_000_000]))
    with pytest.raises(link.GoneError):
        held.call("spawn", [memfd], id="p2")
    os.close(memfd)
    assert held.gone(held.hello["pid"])
    held.connect()
    assert living(held) == waiters.pids
    assert "ended with wait status" in held.log.read_text()
