"""What is to be done so that what is declared is what runs. Pure: declared and current in, steps with reasons out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from aish.model import exit as exits
from aish.model import state
from aish.project import order
from aish.project.digest import same, same_run
from aish.project.specify import KEYS, served
from aish.wire.spec import AMENDABLE, LimitPart, SpecPart

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from aish.project.specify import Wanted
    from aish.wire.part import ProcessPart

START: Final = "start"
AGAIN: Final = "again"  # it was there, and has ended
RESTART: Final = "restart"
AMEND: Final = "amend"
KEEP: Final = "keep"
STOP: Final = "stop"
_PRIVATE: Final = ("digest", "project")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    action: str
    name: str
    id: str | None = None
    """Of the process that is there; None: there is none."""
    reason: str
    wanted: Wanted | None = None
    """None: it is not declared any more."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`levels`: in start order, all of one together. `stops`: what is not declared any more. `taken`: names that a
    process of somebody else has."""

    levels: list[list[Step]]
    stops: list[Step]
    taken: list[tuple[str, ProcessPart]]

    @property
    def steps(self) -> list[Step]:
        return [*self.stops, *(step for level in self.levels for step in level)]


def plan(
    project: str,
    declared: Mapping[str, Wanted],
    every: Collection[str],
    rows: Iterable[ProcessPart],
    specs: Mapping[str, SpecPart],
    *,
    again: bool = False,
) -> Plan:
    """`declared`: the entries that take part, by name; `every`: all names of the file. `specs`: of running processes
    that may differ, by id, for the reasons. `again`: what has ended successfully runs once more."""
    mine, living = current(project, rows)
    taken = [(name, living[name]) for name in declared if name in living and living[name].project != project]
    needs = {name: entry.entry.needs for name, entry in declared.items()}
    levels = [
        [step(declared[name], mine.get(name), specs, again=again) for name in level] for level in order.levels(needs)
    ]
    stops = [
        Step(action=STOP, name=name, id=row.id, reason="no longer declared")
        for name, row in mine.items()
        if name not in every and row.lifecycle not in state.ENDED
    ]
    return Plan(levels=levels, stops=stops, taken=taken)


def current(project: str, rows: Iterable[ProcessPart]) -> tuple[dict[str, ProcessPart], dict[str, ProcessPart]]:
    """The project's processes by name, the living one or else the latest; and all that live, whosever they are."""
    mine: dict[str, ProcessPart] = {}
    living: dict[str, ProcessPart] = {}
    for row in sorted(rows, key=lambda row: (row.lifecycle not in state.ENDED, row.created_s)):
        if row.project == project:
            mine[row.name] = row
        if row.lifecycle not in state.ENDED:
            living[row.name] = row
    return mine, living


def step(wanted: Wanted, row: ProcessPart | None, specs: Mapping[str, SpecPart], *, again: bool) -> Step:
    name, digest = wanted.name, wanted.spec.digest
    if row is None:
        return Step(action=START, name=name, reason="not there yet", wanted=wanted)

    def found(action: str, reason: str) -> Step:
        return Step(action=action, name=name, id=row.id, reason=reason, wanted=wanted)

    unchanged = same(row.digest, digest)
    if row.lifecycle in state.ENDED:
        if not unchanged:
            return found(AGAIN, f"it has {_ended(row)}, and {_changes(wanted, specs.get(row.id))}")
        if _done(row) and wanted.spec.restart != "always" and not again:
            return found(KEEP, "done: it has ended successfully")
        return found(AGAIN, f"it has {_ended(row)}")
    if row.parked is not None and row.parked.stranded:
        return found(RESTART, "it is parked, and its environment went with the machine's last start")
    if row.lifecycle == state.STOPPING and unchanged:
        return found(RESTART, "it is just being stopped")
    if unchanged:
        return found(KEEP, row.state)
    why = _changes(wanted, specs.get(row.id))
    return found(AMEND if same_run(row.digest, digest) else RESTART, why)


def _done(row: ProcessPart) -> bool:
    """By itself, with success; who ends with 0 because it was asked to is not done."""
    end = row.exit
    return row.lifecycle == state.EXITED and end is not None and end.code == 0 and end.reason in (None, exits.DONE)


def _ended(row: ProcessPart) -> str:
    match row.lifecycle:
        case "failed":
            return f"failed: {row.reason}" if row.reason else "failed"
        case "lost":
            return "gone: nobody knows how it ended"
        case _ if row.exit is None or row.exit.reason == "cancelled":
            return "been stopped"
        case _ if row.exit.code is not None:
            return f"ended with {row.exit.code}"
        case _:
            return f"ended by signal {row.exit.signal}"


def _changes(wanted: Wanted, before: SpecPart | None) -> str:
    if before is not None and wanted.entry.stored_model:
        return differences(served(before, wanted.spec), before)
    return differences(wanted.spec, before)


def differences(spec: SpecPart, before: SpecPart | None) -> str:
    """Which keys changed, as the file writes them."""
    if before is None:
        return "its declaration changed"
    changed = sorted(
        {
            key
            for field in SpecPart.__struct_fields__
            if field not in _PRIVATE and getattr(spec, field) != getattr(before, field)
            for key in _keys(field, getattr(spec, field), getattr(before, field))
        }
    )
    if not changed or (_AMENDABLE_KEYS.issuperset(changed) and not same_run(spec.digest, before.digest)):
        changed.append("its environment or a file that it reads")
    return ", ".join(changed) + " changed"


_AMENDABLE_KEYS: Final = {KEYS.get(field, field) for field in (*AMENDABLE, *LimitPart.__struct_fields__)}


def _keys(field: str, now: object, before: object) -> list[str]:
    """Limits are told one by one."""
    if field != "limits":
        return [KEYS.get(field, field)]
    now, before = now or LimitPart(), before or LimitPart()
    return [KEYS[part] for part in LimitPart.__struct_fields__ if getattr(now, part) != getattr(before, part)]
