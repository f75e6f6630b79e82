"""The processes of a worktree: those that have its label and begin in it; names are of one repository only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aish.client import connect
from aish.client.finding import recorded
from aish.errors import NotFoundError, NotRunningError
from aish.model.state import ENDED
from aish.wire.message import Inspect, Snapshot
from aish.wire.reply import Inspected, View
from aish.worktree.naming import LABEL

if TYPE_CHECKING:
    from aish.wire.part import ProcessPart


def residents(name: str, folder: str) -> list[ProcessPart]:
    """Oldest first, ended ones too. Raises UnavailableError where the supervisor does not answer."""
    try:
        with connect(start=recorded(), program="worktree") as client:
            rows = client.ask(View, Snapshot(all=True, labels={LABEL: name}, figures=False)).processes
            found = []
            for row in rows:
                try:
                    cwd = os.fsdecode(client.ask(Inspected, Inspect(target=row.id)).spec.cwd)
                except NotFoundError:
                    continue  # forgotten meanwhile
                if cwd == folder or cwd.startswith(folder + "/"):
                    found.append(row)
            return found
    except NotRunningError:
        return []  # none has ever run here


def living(rows: list[ProcessPart]) -> list[ProcessPart]:
    return [row for row in rows if row.lifecycle not in ENDED]


def names() -> set[str]:
    """Of all that live: names that a new process cannot have. Raises as `residents`."""
    try:
        with connect(start=recorded(), program="worktree") as client:
            return {row.name for row in client.ask(View, Snapshot(figures=False)).processes}
    except NotRunningError:
        return set()
