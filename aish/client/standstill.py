"""Who of daemon, holder and keeper stands still (SIGSTOP, a debugger): for who gets no answer of them.

None of them can say so itself, and a stopped one keeps its sockets. /proc tells, and whose lock is in their words.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DAEMON: Final = "daemon"
HOLDER: Final = "holder"
KEEPER: Final = "keeper"
EITHER: Final = "keeper or holder"
"""One of them is left, and nothing tells which it was."""
_DAEMON_WORDS: Final = b"\0-m\0aish.supervisor.daemon\0"


def stopped(pid: int) -> bool:
    """Whether a process is there and stands still."""
    return _state(pid) in ("T", "t")


def told(pids: Mapping[str, int]) -> str | None:
    """Who is stopped, by what they are, and what lets them go on, as a sentence; None: nobody. Pure."""
    if not pids:
        return None
    names, numbers = list(pids), " ".join(map(str, pids.values()))
    if len(names) == 1:
        return f"the {names[0]} (pid {numbers}) is stopped: `kill -CONT {numbers}` lets it go on"
    who = ", ".join(names[:-1]) + f" and {names[-1]}"
    return f"{who} (pids {', '.join(map(str, pids.values()))}) are stopped: `kill -CONT {numbers}` lets them go on"


def why(daemon: int | None = None) -> str | None:
    """Why they do not answer, as far as one of them is stopped. `daemon`: its pid, where that is known."""
    return told({role: pid for role, pid in programs(daemon).items() if stopped(pid)})


def programs(daemon: int | None = None) -> dict[str, int]:
    """Their pids by what they are, as far as they are there. A look at all processes: for when something is wrong."""
    from aish.client import bringup

    lock = b"\0--lock\0" + os.fsencode(bringup.holder_lock()) + b"\0"
    parents, daemons = {}, {}
    for pid, words in _own():
        if lock in words:
            parents[pid] = _parent(pid)
        elif _DAEMON_WORDS in words:
            daemons[pid] = _parent(pid)
    found = [pid for pid, parent in daemons.items() if parent in parents]
    found = [daemon] if daemon is not None else found
    return ({DAEMON: found[0]} if found else {}) | _roles(parents)


def _roles(parents: Mapping[int, int | None]) -> dict[str, int]:
    """Who is what, by who has started whom; a newborn child of the holder has its words, too. Pure."""
    keepers = [pid for pid, parent in parents.items() if parent not in parents]
    holders = [pid for pid, parent in parents.items() if parent in keepers]
    if len(keepers) == 1 and not holders:
        return {EITHER: keepers[0]}
    return {role: pids[0] for role, pids in ((HOLDER, holders), (KEEPER, keepers)) if pids}


def _own() -> Iterator[tuple[int, bytes]]:
    """Processes of this user, and their words between NULs."""
    user = os.geteuid()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}").st_uid != user:
                continue
            with open(f"/proc/{name}/cmdline", "rb") as file:
                yield int(name), b"\0" + file.read(1 << 16)
        except OSError:
            continue  # it has ended


def _state(pid: int) -> str | None:
    fields = _stat(pid)
    return fields[0].decode("ascii", "replace") if fields else None


def _parent(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat (proc(5)) from the state on; empty where it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []
