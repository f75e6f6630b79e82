"""A process that somebody else started: which one a pid means, as long as nobody else has got its number."""

from __future__ import annotations

from aish.errors import NotFoundError, UsageError


def start_ticks(pid: int) -> int:
    """When it was started, in ticks since boot (proc(5), field 22). Raises UsageError, NotFoundError."""
    if pid < 1:
        raise UsageError(f"{pid} is not a pid", hint="`ps -ef` lists them")
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        raise NotFoundError(f"no process has the pid {pid}", hint="`ps -ef` lists what there is") from None
