"""What /proc tells of processes, and waiting for their ends."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterable

LOOK_S = 0.0005


def marked(entry: str) -> list[int]:
    """Pids of living processes whose environment holds `entry`, ourselves left out."""
    found = []
    wanted = entry.encode()
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if wanted in file.read().split(b"\0"):
                        found.append(int(name))
            except OSError:
                continue
    return found


def family(pids: Iterable[int]) -> list[int]:
    """Those of them that live, with all that descend from them; parents first."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    state, parent = file.read().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(name))
    living = {pid for group in children.values() for pid in group}
    found = [pid for pid in pids if pid in living]
    for pid in found:  # it grows meanwhile
        found += children.get(pid, ())
    return found


def comm(pid: int) -> str:
    """Its name; '' if it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            front, _, back = file.read().rpartition(")")
    except OSError:
        return ""
    return "" if back.split()[0] in "ZX" else front.partition("(")[2]


def pss_bytes(pids: Iterable[int]) -> int:
    """Proportional set size, summed; who is gone counts nothing."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += sum(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
        except OSError:
            continue
    return total


def cpu_ns(pids: Iterable[int]) -> int:
    """Time on a CPU, summed over their main threads and all others."""
    total = 0
    for pid in pids:
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                    total += int(file.read().split()[0])
        except OSError:
            continue
    return total


def kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def wait_gone(pids: Iterable[int], deadline_s: float) -> bool:
    """Until all have ended, through pidfds; False after `deadline_s`."""
    poll = select.poll()
    fds = set()
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            continue
        fds.add(fd)
        poll.register(fd, select.POLLIN)
    end = time.monotonic() + deadline_s
    try:
        while fds and (rest := end - time.monotonic()) > 0:
            for fd, _ in poll.poll(rest * 1000):
                poll.unregister(fd)
                fds.discard(fd)
                os.close(fd)
        return not fds
    finally:
        for fd in fds:
            os.close(fd)


def until(holds: Callable[[], bool], deadline_s: float, what: str) -> None:
    """Look again and again. Raises TimeoutError."""
    end = time.monotonic() + deadline_s
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(LOOK_S)
