"""Which processes are meant: those that were named, or those that have labels. Shared by verbs and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from aish.client.call import ask
from aish.errors import NotFoundError, UsageError
from aish.model import kind as kinds
from aish.model import state
from aish.model.nearest import nearest
from aish.wire.message import Inspect, Snapshot
from aish.wire.reply import Inspected, View

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from aish.client.call import Asks
    from aish.wire.part import ProcessPart

    Labels: TypeAlias = Mapping[str, str | None]


class Named(Protocol):
    """A handle of a process, or its row of ps."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


Target: TypeAlias = "str | Named"
"""A process: its handle, its row, its id or its name."""


def name_of(target: Target) -> str:
    return target if isinstance(target, str) else target.id


def chosen(
    targets: Sequence[Target], labels: Labels | None, *, ended: bool | None = False, tree: bool = False
) -> Asks[list[str]]:
    """The processes that were named, or, with `labels`, those of `labelled`; with `tree` as `with_below`. Raises
    UsageError, NotFoundError."""
    if targets and labels is not None:
        raise UsageError("processes or labels, not both", hint="processes(labels=…) lists rows, which can be named")
    found = [name_of(target) for target in targets]
    if labels is not None:
        found = [row.id for row in (yield from labelled(labels, ended=ended))]
    return (yield from with_below(found)) if tree else found


def labelled(labels: Labels, *, ended: bool | None = False) -> Asks[list[ProcessPart]]:
    """All that live (`ended`: that have ended; None: both) and have the labels. Raises UsageError, NotFoundError."""
    if not labels:
        raise UsageError("no label is named: that would be everything", hint='such as {"team": "ml"}')
    view = yield from ask(View, Snapshot(all=ended is not False, labels=dict(labels), figures=False))
    rows = [row for row in view.processes if row.kind != kinds.SYSTEM]
    found = [row for row in rows if ended is None or (row.lifecycle in state.ENDED) == ended]
    if not found:
        raise NotFoundError(f"no process has the labels {_told(labels)}", hint="`aish ps --json` shows them")
    return found


def with_below(targets: Sequence[Target]) -> Asks[list[str]]:
    """Those that were named, each before what it has started, with all that live below them, in the order of ps. Who
    starts others comes before them, so that it starts no more. Raises NotFoundError."""
    found: dict[str, None] = {}
    for target in targets:
        found[(yield from ask(Inspected, Inspect(target=name_of(target)))).process.id] = None
    view = yield from ask(View, Snapshot(all=True, figures=False))
    for row in below(view.processes, found):
        if row.lifecycle not in state.ENDED:
            found[row.id] = None
    return list(found)


def below(rows: Sequence[ProcessPart], ids: Collection[str]) -> list[ProcessPart]:
    """What those have started, and what that has, level by level. Pure."""
    found: list[ProcessPart] = []
    seen, newest = set(ids), set(ids)
    while newest:
        level = [row for row in rows if row.parent in newest and row.id not in seen]
        found += level
        newest = {row.id for row in level}
        seen |= newest
    return found


def logged(targets: Sequence[Target], labels: Labels | None, kind: str | None) -> Asks[list[tuple[str, str | None]]]:
    """Whose logs are meant, and their names where they are known: those that were named, all that have the labels or
    are of the kind, ended ones too, or else all that have not ended. Raises UsageError, NotFoundError."""
    if targets and labels:
        raise UsageError("names or labels, not both")
    if targets and kind is None:
        return [(name_of(each), None if isinstance(each, str) else each.name) for each in targets]
    if targets:
        parts = []
        for target in targets:
            parts.append((yield from ask(Inspected, Inspect(target=name_of(target)))).process)
    else:
        wanted = Snapshot(all=bool(kind or labels), labels=dict(labels or {}), figures=False)
        parts = (yield from ask(View, wanted)).processes
    found: list[tuple[str, str | None]] = [
        (part.id, part.name) for part in parts if part.kind == (kind or part.kind) and (targets or not part.adopted)
    ]
    if not found and labels:
        raise NotFoundError(f"no process has the labels {_told(labels)}")
    if not found and kind is not None:
        raise NotFoundError(f"no process of kind {kind}", hint="`aish ps --all` lists what there is")
    if not found:
        raise NotFoundError("no process runs", hint="name one that has ended: `aish ps --all` lists them")
    return found


def check_kind(kind: str | None, what: str) -> None:
    """Raises UsageError."""
    if kind is not None and kind not in kinds.KINDS:
        near = nearest(kind, kinds.KINDS)
        hint = f"did you mean {near}?" if near else "one of " + ", ".join(kinds.KINDS)
        raise UsageError(f"{what} {kind}: no such kind", hint=hint)


def _told(labels: Labels) -> str:
    return " ".join(name if value is None else f"{name}={value}" for name, value in labels.items())
