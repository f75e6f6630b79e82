"""Who is in the foreground: a person waits for it. Pure.

That is what has a terminal: one of its own (`--pty`), or that of who started it (`aish run`, `@agent` at the prompt,
`aish adopt` of what runs in one). What is nice, was spawned, is of a project or has a schedule is in the background,
and so is what a process started that has a terminal, unless that gave it its own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.supervisor.daemon.row import Row


def background(row: Row) -> bool:
    nice = row.nice if row.nice_limit is None else row.nice_limit
    return nice > 0 or not (row.terminal or row.spec.pty)


def any_terminal(fds: Iterable[int]) -> bool:
    """Whether one of the descriptors that it gets is a terminal."""
    return any(os.isatty(fd) for fd in fds)


def at_terminal(stat: str | None) -> bool:
    """Whether a process has one, by its /proc/PID/stat (proc(5), tty_nr)."""
    fields = (stat or "").rpartition(")")[2].split()
    return len(fields) > 4 and fields[4] not in ("0", "-1")
