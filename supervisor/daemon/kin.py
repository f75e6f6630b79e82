"""The tree of an adopted process: who is below it, and who was seen there before losing its parents.

It has no tag and perhaps no session of its own. A process that loses its parents between two looks is not found any
more; where a control group holds the tree nobody has to look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.supervisor.daemon import proc

if TYPE_CHECKING:
    from collections.abc import Callable


class Kin:
    def __init__(self) -> None:
        self._seen: dict[str, dict[int, int]] = {}
        """Id -> pid -> start time in ticks, which tell together that it is still that very process."""

    def members(self, id_: str, leader: int | None, known: Callable[[int], bool]) -> list[int]:
        """Pids of its tree, the leader first (None: it has ended). `known` tells what is somebody else's: supervised
        in its own right, or one of our own programs."""
        children = proc.tree()
        before = self._seen.get(id_, {})
        todo = [pid for pid, ticks in before.items() if pid != leader and _started(pid) == ticks]
        todo += [leader] if leader is not None else []
        found: dict[int, int] = {}
        while todo:
            pid = todo.pop()
            ticks = _started(pid)
            if pid in found or ticks is None or (pid != leader and known(pid)):
                continue
            found[pid] = ticks
            todo += children(pid)
        self._seen[id_] = found
        return list(found)

    def forget(self, id_: str) -> None:
        self._seen.pop(id_, None)


def _started(pid: int) -> int | None:
    """None for what has ended, reaped or not."""
    place = proc.stat(pid)
    return None if place is None or proc.ended(pid) else place.start_ticks
