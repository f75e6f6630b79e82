"""Whether what a process waits for is there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aish.model import kind
from aish.model.state import EXITED, QUEUED, RUNNING, SCHEDULED, YES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aish.supervisor.daemon.row import Row
    from aish.wire.spec import NeedPart


class Met(msgspec.Struct, frozen=True):
    """All is there."""


class Waits(msgspec.Struct, frozen=True):
    """`text` says for what; `due_s` is when it has waited too long (seconds of its wait), None: never."""

    text: str
    due_s: float | None = None


class Never(msgspec.Struct, frozen=True):
    """It will not come."""

    text: str


Verdict = Met | Waits | Never


def decide(needs: Sequence[NeedPart], find: Callable[[str], Row | None], waited_s: float) -> Verdict:
    """`find` gives the living process of a name, else the last that had it; `waited_s` is since when it is queued."""
    waiting: list[str] = []
    due_s: float | None = None
    for need in needs:
        row = find(need.name)
        why = lacks(need, row)
        if why is None:
            continue
        if row is not None and row.ended and not row.again:
            return Never(f"it needs {need.name}, which {why}")
        if need.timeout_s is not None:
            if waited_s >= need.timeout_s:
                return Never(f"it needs {need.name}, which {why} after {need.timeout_s:g} s")
            due_s = need.timeout_s if due_s is None else min(due_s, need.timeout_s)
        waiting.append(f"{need.name}, which {why}")
    if not waiting:
        return Met()
    return Waits("it waits for " + "; ".join(waiting), due_s)


def circle(name: str, needs: Sequence[NeedPart], find: Callable[[str], Row | None]) -> list[str] | None:
    """Names, the first again at the end, if a new process `name` with these needs would wait for itself by way of
    others that wait; None: it would not."""
    trails = [[name, need.name] for need in needs if lacks(need, find(need.name)) is not None]
    seen: set[str] = set()
    while trails:
        trail = trails.pop()
        row = find(trail[-1])
        if row is None or row.lifecycle != QUEUED or row.id in seen:
            continue
        seen.add(row.id)
        for need in row.spec.needs:
            if need.name == name:
                return [*trail, name]
            if lacks(need, find(need.name)) is not None:
                trails.append([*trail, need.name])
    return None


def lacks(need: NeedPart, row: Row | None) -> str | None:
    """What is missing, in words; None: nothing."""
    if row is None:
        return "is not there yet"
    if row.ended and row.again:
        return "is being started again"
    if need.until == "completed":
        if not row.ended and (row.lifecycle != SCHEDULED or row.exit is None):
            return "has not ended yet"
        done = row.lifecycle in (EXITED, SCHEDULED) and row.exit is not None and row.exit.code == 0
        return None if done else "did not end successfully"
    if row.ended:
        return "has ended"
    if row.lifecycle == QUEUED:
        return "is queued itself"
    if row.lifecycle != RUNNING:
        return f"is {row.lifecycle}"
    if need.until == "started":
        return None
    probed = row.spec.ready is not None or row.spec.kind == kind.MODEL
    return None if row.ready == YES or not probed else "is not ready yet"
