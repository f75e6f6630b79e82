"""A process that is to have a worktree gets one, and its surroundings say so; one that never began leaves none."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from aish.errors import AishError, ConflictError
from aish.worktree import naming, outfit, removal, repository
from aish.worktree.git import LOCAL
from aish.worktree.making import make
from aish.worktree.record import MADE, READY, Records
from aish.worktree.residents import living, names, residents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aish.wire.spec import LaunchPart, SpecPart
    from aish.worktree.record import Record
    from aish.worktree.snapshot import Snapshot


class Given(NamedTuple):
    """What is spawned."""

    part: SpecPart
    launch: LaunchPart


@contextlib.contextmanager
def given(
    part: SpecPart,
    launch: LaunchPart,
    *,
    named: bool,
    again: bool = False,
    dirty: bool = False,
    start: Snapshot | None = None,
    tell: Callable[[str], None],
) -> Iterator[Given]:
    """As it was where the spec does not ask for a worktree (by its label); what begins in it has to begin before the
    end of this. `named`: the process has to be called so; `start`: as it was in another worktree then.

    Raises as `aish.worktree.making.make`."""
    wish = part.labels.get(naming.LABEL)
    if wish is None:
        yield Given(part, launch)
        return
    found = repository.find(os.fsdecode(part.cwd))
    program = os.path.basename(os.fsdecode(part.argv[0])) if part.argv else ""
    name = naming.plain(wish or part.name or program)
    taken = names() - ({name} if named or wish else set())
    made = make(found, name, again=again, dirty=dirty, start=start, taken=taken, begun=_begun, tell=tell)
    record, copied = made.record, False
    try:
        if not made.new and living(residents(record.name, record.folder)):
            raise ConflictError(f"somebody works in the worktree {record.name}", hint="`aish land` shows who")
        yield Given(_part(part, record, named=named), _launch(launch, record))
    except AishError:
        copied = start is not None
        raise
    finally:
        if record.state == MADE:
            _settle(Records(found.common), record, new=made.new, copied=copied)
        if made.held is not None:
            os.close(made.held)


def _part(part: SpecPart, record: Record, *, named: bool) -> SpecPart:
    labels = {**part.labels, naming.LABEL: record.name}
    name = part.name if named else record.name
    return msgspec.structs.replace(part, cwd=os.fsencode(record.cwd), labels=labels, name=name)


def _launch(launch: LaunchPart, record: Record) -> LaunchPart:
    """Variables of a repository, as its hooks have them, would lead its git back there."""
    added = outfit.variables(record)
    dropped = {os.fsencode(name) for name in (*LOCAL, *added, "PWD", "OLDPWD")}
    kept = [entry for entry in launch.environ if entry.partition(b"=")[0] not in dropped]
    new = [os.fsencode(f"{name}={value}") for name, value in (*added.items(), ("PWD", record.cwd))]
    return msgspec.structs.replace(launch, environ=[*kept, *new])


def _settle(records: Records, record: Record, *, new: bool, copied: bool) -> None:
    """It is a worktree as others where somebody has begun in it; else a new one goes again, unless nobody can tell,
    or it has what is nowhere else. `copied`: it has nothing but what another one had, if nothing ran in it."""
    try:
        rows = residents(record.name, record.folder)
        with records.held(record.name):
            if not all(row.never_ran for row in rows):
                now = records.load(record.name)
                if now is not None and now.state == MADE:
                    now.state = READY
                    records.save(now)
            elif new and ((copied and not rows) or not str(removal.lost(records, record))):
                removal.take_away(records, record)
    except AishError:
        return  # it stays: `aish land` lists it


def _begun(record: Record) -> bool:
    """True also where nobody can tell."""
    try:
        return not all(row.never_ran for row in residents(record.name, record.folder))
    except AishError:
        return True
