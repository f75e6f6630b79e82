"""Reaping without ever losing a code: look at the zombie, write its exit down, then reap it.

Both roles reap; only the order matters and it is here. Whoever is killed between two of these steps leaves either
a zombie for the next parent or a line in the journal, and a line said twice changes nothing.
"""

from __future__ import annotations

import os
import signal
import socket
import time

from .journal import Child, Journal, exit_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def next_dead() -> tuple[int, int] | None:
    """(pid, raw wait status) of a child that has ended, which stays a zombie; None if there is none."""
    try:
        info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if info is None else (info.si_pid, _raw_status(info))


def has_ended(pid: int) -> bool:
    """Whether our child `pid` has ended; it stays a zombie."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def is_ours(pid: int) -> bool:
    """Whether `pid` is a child of this process, alive or a zombie."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def bury(pid: int) -> None:
    """Reap a zombie nobody asks about: an orphan of a child's, a child that never came to exec."""
    os.waitpid(pid, os.WNOHANG)


def record_and_reap(journal: Journal, child: Child, status: int) -> dict[str, Any]:
    """The exit event of a zombie child, in the journal before and after it is reaped. Raises OSError."""
    record = exit_record(child, status)
    journal.append(exit_line(record, reaped=False))
    _, _, usage = os.wait4(child.pid, os.WNOHANG)
    record["utime_s"] = round(usage.ru_utime, 6)
    record["stime_s"] = round(usage.ru_stime, 6)
    record["maxrss_bytes"] = usage.ru_maxrss * 1024
    journal.append(exit_line(record))
    return record


def exit_record(child: Child, status: int | None, *, ended_at: float | None = None) -> dict[str, Any]:
    """An exit event as far as it is known; status None says that nobody will ever know."""
    return {
        "event": "exit",
        "id": child.id,
        "pid": child.pid,
        "start_time": child.start,
        "status": status,
        "utime_s": None,
        "stime_s": None,
        "maxrss_bytes": None,
        "ended_at": time.time() if status is not None else ended_at,
        "ended_boot_s": time.clock_gettime(time.CLOCK_BOOTTIME) if status is not None else None,
    }


def _raw_status(info: os.waitid_result) -> int:
    """What waitpid would say: waitid takes it apart."""
    if info.si_code == os.CLD_EXITED:
        return info.si_status << 8
    return info.si_status | (0x80 if info.si_code == os.CLD_DUMPED else 0)


_wakeup_sockets: list[socket.socket] = []  # the two ends in use: they stay open until others take their place


def wakeups() -> socket.socket:
    """A socket that becomes readable whenever a child ends. One per process: call it anew after a fork."""
    old = _wakeup_sockets[:]
    _wakeup_sockets[:] = socket.socketpair()
    for end in _wakeup_sockets:
        end.setblocking(False)
    signal.set_wakeup_fd(_wakeup_sockets[1].fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _noted)
    for end in old:
        end.close()
    return _wakeup_sockets[0]


def _noted(number: int, frame: object) -> None:
    """The wakeup descriptor does the work; a handler has to exist for it to be used."""
