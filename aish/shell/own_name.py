"""The name under which a shell at a prompt is seen: by ps, by pgrep, by tmux for a window.

It was called as a script: the kernel knows it by its interpreter's name, and each window of tmux was called python.
Linux has no call for another one that needs no privilege: the words lie in the process's own memory, and are written
over there, as setproctitle(3) does elsewhere. A kernel that finds their last byte written takes all for one text.
"""

from __future__ import annotations

import os

_WORDS_BEGIN, _WORDS_END = 45, 46
"""Behind the name, among what /proc/PID/stat has: arg_start, arg_end."""


def take(words: list[str]) -> None:
    """Be seen as these. Nothing comes of it where /proc does not allow it."""
    try:
        with open("/proc/self/comm", "wb", buffering=0) as comm:
            comm.write(os.fsencode(words[0])[:15])
        with open("/proc/self/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
        begin, end = int(fields[_WORDS_BEGIN]), int(fields[_WORDS_END])
        title = os.fsencode(" ".join(words))[: max(end - begin - 2, 0)]
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            os.pwrite(memory.fileno(), title.ljust(end - begin - 1, b"\0") + b".", begin)
    except (OSError, ValueError, IndexError):
        pass  # an old name is no reason to have no shell
