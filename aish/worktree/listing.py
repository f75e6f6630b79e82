"""The worktrees of a repository as they stand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from aish.errors import AishError
from aish.worktree import beginning, landing, removal, repository
from aish.worktree.parsing import status
from aish.worktree.record import LANDED, LANDING, MADE, MAKING
from aish.worktree.residents import residents

if TYPE_CHECKING:
    from aish.wire.part import ProcessPart
    from aish.worktree.record import Record, Records

BROKEN_OFF = {MAKING: "half made", LANDING: "half landed", LANDED: "landed"}


class Line(NamedTuple):
    """Commits that it has and that the branch it would land in has; None: nobody can tell."""

    name: str
    branch: str
    folder: str
    home: str
    agents: list[str]
    state: str
    ahead: int | None
    behind: int | None
    dirty: int | None
    into: str | None
    port: int
    made_s: float


def listed(records: Records) -> list[Line]:
    """By name. Raises StorageError, UnavailableError."""
    found = [records.load(name) for name in records.names()]
    return [_line(records, record) for record in found if record is not None]


def _line(records: Records, record: Record) -> Line:
    rows = residents(record.name, record.folder)
    into, ahead, behind, dirty = None, None, None, None
    try:
        target = landing.target_of(record)
        into = target.branch
        inside = repository.inside(records.common, record.folder)
        words = ("status", "--porcelain=v2", "-z", "--untracked-files=normal", "--ignore-submodules=dirty")
        items = inside(*words, GIT_OPTIONAL_LOCKS="0").items
        dirty = len(status(items).dirty)
        head = inside("rev-parse", "HEAD").line
        counts = inside("rev-list", "--left-right", "--count", f"{target.commit}...{head}").line.split()
        behind, ahead = int(counts[0]), int(counts[1])
    except AishError:
        pass  # its folder, or that of its home, is gone: what is known is told
    return Line(
        name=record.name,
        branch=record.branch,
        folder=record.folder,
        home=record.home,
        agents=[f"{row.name} ({row.id})" for row in rows[-1:]],
        state=_state(records, record, rows),
        ahead=ahead,
        behind=behind,
        dirty=dirty,
        into=into,
        port=record.port,
        made_s=record.made_s,
    )


def _state(records: Records, record: Record, rows: list[ProcessPart]) -> str:
    if not os.path.isdir(record.folder) and record.state != MAKING:
        return "gone" if removal.exists(records, record) else "lost"
    told = BROKEN_OFF.get(record.state)
    if told is not None:
        return "busy" if records.is_held(record.name) else told
    if record.state == MADE and all(row.never_ran for row in rows):
        return "busy" if beginning.is_held(record.folder) else "unused"
    return rows[-1].state if rows else "-"
