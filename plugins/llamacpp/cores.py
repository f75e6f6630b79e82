"""How many cores and how much memory there are for us: the machine's, or less where the control group says so."""

from __future__ import annotations

import os
from typing import Final

_READ_MOST: Final = 1 << 16


def cores() -> int:
    """At least 1: affinity and quota; hardware threads count half.

    llama.cpp's own count looks at the hardware only: in a container it takes far too many.
    """
    count = len(os.sched_getaffinity(0))
    if _first_line("/sys/devices/system/cpu/smt/active") == "1":
        count = max(1, count // 2)
    quota = _quota()
    return max(1, count if quota is None else min(count, quota))


def memory_bytes() -> int:
    """The machine's, or the lowest limit of our control groups: the kernel kills who takes more than that."""
    limits = group_limits(_text("/proc/self/cgroup"), "/sys/fs/cgroup")
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *limits])


def group_limits(groups: str, mounted: str) -> list[int]:
    """The memory limits of the control groups that /proc/self/cgroup names, and of those above them.

    Version 2 tells them in memory.max ("max": none), version 1 in memory.limit_in_bytes. Below a mount of another
    namespace our path is not there: then what is at the mount itself counts.
    """
    limits = []
    for line in groups.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            root, name = mounted, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = os.path.join(mounted, "memory"), "memory.limit_in_bytes"
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts) + 1):
            text = _first_line(os.path.join(root, *parts[:depth], name))
            if text.isdecimal() and text != "0":
                limits.append(int(text))
    return limits


def _quota() -> int | None:
    """The CPU quota of the control group that we see as root (version 2), rounded up; None where there is none."""
    words = _first_line("/sys/fs/cgroup/cpu.max").split()
    if len(words) != 2 or not (words[0].isdecimal() and words[1].isdecimal()) or words[1] == "0":
        return None
    return -(-int(words[0]) // int(words[1]))


def _first_line(path: str) -> str:
    return _text(path).partition("\n")[0].strip()


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="surrogateescape") as stream:
            return stream.read(_READ_MOST)
    except OSError:
        return ""
