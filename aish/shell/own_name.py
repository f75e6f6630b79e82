"""What other programs call this process: the shell's name, and not that of the Python that runs it."""

from __future__ import annotations

import os

_STATE = 3
"""The first field behind the program's name in /proc/PID/stat; they are counted from 1."""
_ARGUMENTS_BEGIN, _ARGUMENTS_END = 48 - _STATE, 49 - _STATE

_MOST_BYTES = 4000
"""Of a longer place the kernel would show one page: then the words stay as they are."""


def show_as(name: str, words: list[str]) -> None:
    """Have tmux, terminals, ps and pgrep show `name words…`. Where the system does not let us, they show Python.

    What a process was started with is in its own memory, and /proc reads it there. Where the last byte of that place
    is not the NUL that the kernel put there, it takes what stands before the first one for all."""
    text = os.fsencode(" ".join([name, *words]))
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        begin, end = int(fields[_ARGUMENTS_BEGIN]), int(fields[_ARGUMENTS_END])
        room = end - begin - 2
        if begin and 0 < room < _MOST_BYTES:
            with open("/proc/self/mem", "r+b", buffering=0) as memory:
                memory.seek(begin)
                memory.write(text[:room].ljust(room + 1, b"\0") + b" ")
        with open("/proc/self/comm", "wb", buffering=0) as file:
            file.write(os.fsencode(name))
    except (OSError, ValueError, IndexError):
        pass  # no /proc, or a system that shields it: a name is all that is lost
