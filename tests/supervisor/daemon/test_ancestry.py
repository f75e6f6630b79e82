"""Where a caller comes from: every way that /proc can answer, by a made-up /proc, then by the real one."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

from aish.supervisor.daemon import ancestry, proc
from aish.supervisor.daemon.ancestry import Peer
from aish.supervisor.daemon.authority import NOBODY, USER, Caller
from aish.supervisor.daemon.proc import ProcStat

KEEPER, HOLDER, DAEMON = 10, 11, 12
HOLDERS = frozenset({KEEPER, HOLDER, DAEMON})
AGENT, AGENT_TICKS = 50, 500


class World:
    """A made-up /proc: pid -> (parent, session); start ticks are 10 x pid."""

    def __init__(self, places: dict[int, tuple[int, int]], supervised: dict[int, str]) -> None:
        self.places = places
        self.supervised = supervised
        self.ended: dict[int, str] = {}

    def read(self, pid: int) -> ProcStat | None:
        place = self.places.get(pid)
        return None if place is None else ProcStat(place[0], place[1], 0, pid * 10, 0)

    def leader(self, pid: int, start_ticks: int) -> str | None:
        return self.supervised.get(pid) if start_ticks == pid * 10 else None

    def session(self, pid: int) -> str | None:
        return self.supervised.get(pid) or self.ended.get(pid)

    def trace(self, pid: int) -> Caller:
        return ancestry.trace(Peer(pid, 0, None), self.leader, self.session, HOLDERS, self.read)


PLACES = {
    KEEPER: (1, KEEPER),
    HOLDER: (KEEPER, HOLDER),
    DAEMON: (HOLDER, DAEMON),
    AGENT: (HOLDER, AGENT),
    51: (AGENT, AGENT),
    52: (51, AGENT),
    60: (HOLDER, AGENT),  # lost its parents, still in the agent's session
    61: (HOLDER, 61),  # left the session, too
    62: (61, 61),
    70: (1, 70),  # the user's shell
    71: (70, 71),
}


@pytest.mark.parametrize(
    ("pid", "caller"),
    [
        (AGENT, Caller("process", "p5", leader=True)),
        (51, Caller("process", "p5")),
        (52, Caller("process", "p5")),
        (60, Caller("process", "p5")),
        (61, NOBODY),
        (62, NOBODY),
        (HOLDER, NOBODY),
        (DAEMON, NOBODY),
        (70, USER),
        (71, USER),
        (999, NOBODY),
        (0, NOBODY),
    ],
)
def test_trace(pid: int, caller: Caller) -> None:
    assert World(PLACES, {AGENT: "p5"}).trace(pid) == caller


def test_a_descendant_of_an_ended_process_keeps_its_place() -> None:
    """Else outliving one's supervised parent would be a way out of its limits."""
    world = World({**PLACES, 53: (HOLDER, AGENT)}, {})
    del world.places[AGENT]
    world.ended[AGENT] = "p5"
    assert world.trace(53) == Caller("process", "p5")


def test_a_reused_pid_is_nobodys_old_place() -> None:
    """The user's new shell must not be taken for a process that ended with the same pid long ago."""
    world = World({**PLACES, AGENT: (1, AGENT)}, {})
    world.ended[AGENT] = "p5"
    assert world.trace(AGENT) == USER


def test_without_a_holder_the_session_still_tells() -> None:
    """Keeper and holder died: their children are init's, and must not become the user's."""
    world = World({**PLACES, AGENT: (1, AGENT), 54: (1, AGENT)}, {AGENT: "p5"})
    assert world.trace(54) == Caller("process", "p5")
    assert world.trace(AGENT) == Caller("process", "p5", leader=True)


def test_a_parent_that_dies_between_two_looks_is_looked_up_again() -> None:
    """The number of a dead parent may already belong to one of the user's shells."""

    class Racing(World):
        looks = 0

        def read(self, pid: int) -> ProcStat | None:
            if pid == 51:
                self.looks += 1
                return ProcStat(70 if self.looks == 1 else HOLDER, AGENT, 0, 510, 0)
            return super().read(pid)

    assert Racing(PLACES, {AGENT: "p5"}).trace(51) == Caller("process", "p5")


def test_a_dead_peer_has_no_rights() -> None:
    child = subprocess.Popen(["true"])
    pidfd = os.pidfd_open(child.pid)
    try:
        child.wait()
        caller = ancestry.trace(
            Peer(os.getpid(), os.getuid(), pidfd), lambda *_: None, lambda _: None, frozenset({-1})
        )
        assert caller == NOBODY
    finally:
        os.close(pidfd)


def test_the_real_proc_says_that_a_test_is_the_user() -> None:
    here, there = socket.socketpair()
    with here, there:
        peer = ancestry.peer(here)
        try:
            assert (peer.pid, peer.uid) == (os.getpid(), os.getuid())
            assert ancestry.trace(peer, lambda *_: None, lambda _: None, frozenset({-1})) == USER
            mine = proc.stat(os.getpid())
            assert mine is not None
            assert mine.parent == os.getppid()
            assert mine.session == os.getsid(0)
        finally:
            if peer.pidfd is not None:
                os.close(peer.pidfd)
