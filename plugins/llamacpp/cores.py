"""How many cores there are for computing: affinity and the control group's quota; hardware threads count half."""

from __future__ import annotations

import os


def cores() -> int:
    """At least 1. llama.cpp's own count looks at the hardware only: in a container it takes far too many."""
    count = len(os.sched_getaffinity(0))
    if _first_line("/sys/devices/system/cpu/smt/active") == "1":
        count = max(1, count // 2)
    quota = _quota()
    return max(1, count if quota is None else min(count, quota))


def memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _quota() -> int | None:
    """The CPU quota of the control group that we see as root (version 2), rounded up; None where there is none."""
    words = _first_line("/sys/fs/cgroup/cpu.max").split()
    if len(words) != 2 or not (words[0].isdecimal() and words[1].isdecimal()) or words[1] == "0":
        return None
    return -(-int(words[0]) // int(words[1]))


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.readline().strip()
    except OSError:
        return ""
