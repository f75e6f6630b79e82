"""How many supervised processes may be below one at a time, and on how many levels: looked at where one more begins.

What belongs to its parent's run, an agent's MCP server, is a part of that and does not count: it has no key. Of these
there are a few, and they have none themselves: else a process would get around its limits by them.
Counted from every process above the new one that has such a limit, so that what is below cannot get around it: its
own limits only add to those above it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.errors import LimitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.recorder import Recorder
    from aish.supervisor.daemon.table import Table


HELPERS_MOST: Final = 64
TOLD_EVERY_S: Final = 10.0
"""Who asks again and again is no news."""


class Full(NamedTuple):
    """Who may not have another one below it, by which word of `aish limit`; `wanted` is how many, or levels, there
    would be."""

    owner: Process
    word: str
    most: int
    wanted: int

    def error(self) -> LimitError:
        row = self.owner.row
        whose = f"{row.name} ({row.id})"
        raised = f"the user can allow more: aish limit {row.name} {self.word}=+1"
        if self.word == "depth":
            levels = "1 level" if self.most == 1 else f"{self.most} levels"
            return LimitError(
                f"{whose} may have {levels} of processes below it, this would be level {self.wanted}",
                hint=f"do it in the process that wants it; {raised}",
            )
        many = "process" if self.most == 1 else "processes"
        return LimitError(
            f"{whose} may have {self.most} {many} below it at a time, and has {self.wanted - 1}",
            hint=f"wait until one of them has ended; {raised}",
        )


def check(table: Table, recorder: Recorder, parent: Process | None) -> None:
    """Whether one more may begin below `parent`. Raises LimitError, which is an event of who has the limit."""
    found = full(table, parent)
    if found is None:
        return
    error, owner, now_s = found.error(), found.owner, time.monotonic()
    if now_s - owner.refused_s >= TOLD_EVERY_S:
        owner.refused_s = now_s
        asker = parent.id if parent is not None else None
        recorder.event("spawn-refused", owner.row, str(error), limit=found.word, most=found.most, by=asker)
    raise error


def check_helpers(table: Table, parent: Process) -> None:
    """Whether one more may belong to the run of `parent`. Raises LimitError."""
    row = parent.row
    if row.spec.with_parent:
        hint = "start an ordinary process: that counts for the limits above it"
        raise LimitError(f"{row.name} ({row.id}) belongs to its parent's run, and has nothing of its own", hint=hint)
    mine = sum(child.row.spec.with_parent and not child.row.ended for child in table.children(row.id))
    if mine >= HELPERS_MOST:
        hint = "wait until one of them has ended"
        raise LimitError(f"{HELPERS_MOST} processes belong to the run of {row.name} ({row.id}) already", hint=hint)


def full(table: Table, parent: Process | None) -> Full | None:
    """Whose limit does not allow another process that `parent` starts; the nearest to it. None: it is allowed."""
    for level, owner in enumerate(_upwards(table, parent), 1):
        limits = owner.row.spec.limits
        if limits is None:
            continue
        if limits.depth is not None and level > limits.depth:
            return Full(owner, "depth", limits.depth, level)
        if limits.children is not None and (count := living(table, owner.id)) >= limits.children:
            return Full(owner, "children", limits.children, count + 1)
    return None


def living(table: Table, id_: str) -> int:
    """Processes below it that have not ended; what waits for its turn or its time counts."""
    return sum(not process.row.ended for process in _below(table, id_))


def levels(table: Table, id_: str) -> int:
    """The deepest level below it on which one lives; 0: none does."""
    return max((_level(table, id_, process) for process in _below(table, id_) if not process.row.ended), default=0)


def _level(table: Table, id_: str, process: Process) -> int:
    return 1 + list(table.ancestors(process.id)).index(id_)


def _upwards(table: Table, parent: Process | None) -> Iterator[Process]:
    if parent is None:
        return
    yield parent
    for id_ in table.ancestors(parent.id):
        above = table.get(id_)
        if above is not None:
            yield above


def _below(table: Table, id_: str) -> Iterator[Process]:
    for each in table.subtree(id_):
        process = table.get(each)
        if process is not None and each != id_ and not process.row.spec.with_parent:
            yield process
