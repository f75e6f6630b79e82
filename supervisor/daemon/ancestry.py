"""Where a caller comes from: its chain of parents in /proc, up to a supervised process, the holder, or out."""

from __future__ import annotations

import errno
import select
import socket
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.errors import LimitError
from aish.supervisor.daemon.authority import NOBODY, USER, Caller
from aish.supervisor.daemon.proc import ProcStat, stat_or_why

if TYPE_CHECKING:
    from collections.abc import Callable

SO_PEERPIDFD: Final = 77  # Linux 6.5
_DEEPEST: Final = 4096
_UCRED: Final = struct.Struct("3i")


class Peer(NamedTuple):
    pid: int
    uid: int
    pidfd: int | None


def peer(sock: socket.socket) -> Peer:
    """Who connected, as it was then. The caller closes the pidfd (None before Linux 6.5)."""
    pid, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    try:
        packed = sock.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD, 4)
    except OSError:  # an older kernel, or the peer is gone already
        return Peer(pid, uid, None)
    return Peer(pid, uid, struct.unpack("i", packed)[0])


def alive(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return not poll.poll(0)


def look(pid: int) -> ProcStat | None:
    """None: it is gone. Raises LimitError: who cannot be looked at is not called a stranger."""
    try:
        return stat_or_why(pid)
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            return None
        text = f"the supervisor cannot tell who asks: {error.strerror}"
        raise LimitError(text, hint="close connections to it, or raise its limit (`ulimit -Hn`)") from error


def trace(
    caller: Peer,
    leader: Callable[[int, int], str | None],
    session: Callable[[int], str | None],
    holders: frozenset[int],
    read: Callable[[int], ProcStat | None] = look,
) -> Caller:
    """Who `caller` acts as.

    `leader(pid, start_ticks)` tells the supervised process that is that very process now; `session(pid)` the one
    whose process had that pid last, alive or ended; `holders` are the pids of keeper, holder and daemon.

    A process that lost its parents became the holder's child: it belongs to the supervised process whose session it
    is still in. One that left that session too is unknown: it may claim anything, so it gets nothing.

    Raises LimitError where the daemon has no descriptor left to look.
    """
    pid = caller.pid
    sessions: list[int] = []
    if pid <= 0:
        return NOBODY
    for _ in range(_DEEPEST):
        here = read(pid)
        if here is None:
            return NOBODY  # died meanwhile
        found = leader(pid, here.start_ticks)
        if found is not None:
            return _if_alive(caller, Caller("process", found, leader=pid == caller.pid))
        orphan = pid in holders
        if not orphan:
            sessions.append(here.session)
        if orphan or here.parent <= 1:  # init, or a parent outside our pid namespace
            found = _by_session(sessions, leader, session, read)
            if found is not None:
                return _if_alive(caller, Caller("process", found))
            return NOBODY if orphan else _if_alive(caller, USER)
        above, again = read(here.parent), read(pid)
        if again is None:
            return NOBODY
        if above is not None and again.parent == here.parent:
            pid = here.parent  # else the parent died between the two looks: look again
    return NOBODY


def _by_session(
    sessions: list[int],
    leader: Callable[[int, int], str | None],
    session: Callable[[int], str | None],
    read: Callable[[int], ProcStat | None],
) -> str | None:
    """A session outlives its leader, and keeps its number from being given to a new process while it does."""
    for number in dict.fromkeys(sessions):
        found = session(number)
        if found is None:
            continue
        now = read(number)
        if now is None or leader(number, now.start_ticks) == found:
            return found
    return None


def _if_alive(caller: Peer, who: Caller) -> Caller:
    """A peer that died may have given its number to somebody else: then nothing that was read is about it."""
    if caller.pidfd is not None and not alive(caller.pidfd):
        return NOBODY
    return who
