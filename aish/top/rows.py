"""Which processes are shown, in which order, under which branches. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aish.model import state
from aish.top.amount import finite
from aish.top.text import clean, decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aish.top.ui import Ui
    from aish.wire.part import ProcessPart
    from aish.wire.reply import View


class Row(NamedTuple):
    """`stem` draws the branch that leads to the process: '├', '│└' …"""

    process: ProcessPart
    stem: str


class Related(NamedTuple):
    """What a row shows of other parts of the view."""

    sm_percent: dict[str, float]
    """Process id -> its share of the devices' multiprocessors, summed over devices; missing: unknown."""
    model_ids: dict[str, str]
    """Name of a model -> id of the process that serves it."""


def related(view: View) -> Related:
    shares: dict[str, float] = {}
    for gpu in view.gpus:
        for user in gpu.processes:
            share = finite(user.sm_percent)
            if user.process is not None and share is not None:
                shares[user.process] = shares.get(user.process, 0.0) + share
    models = {
        process.name: process.id
        for process in view.processes
        if process.kind == "model" and process.lifecycle not in state.ENDED
    }
    return Related(shares, models)


def rows(view: View, ui: Ui) -> list[Row]:
    """The tree, or one flat list where a sort key is chosen; with a filter, matches and what they descend from."""
    shown = [process for process in view.processes if _matches(process, ui.filter)] if ui.filter else view.processes
    if ui.sort != "tree":
        return [Row(process, "") for process in sorted(shown, key=_ORDERS[ui.sort])]
    if ui.filter:
        shown = _with_ancestors(view.processes, shown)
    return _tree(shown)


def index_of(listed: Sequence[Row], selected: str | None) -> int:
    """Place of the selected process; the first where it is not (any more) there."""
    return next((at for at, row in enumerate(listed) if row.process.id == selected), 0)


def _matches(process: ProcessPart, wanted: str) -> bool:
    wanted = wanted.casefold()
    words = (process.id, process.name, process.kind, process.state, process.model or "", process.doing or "")
    if any(wanted in clean(word).casefold() for word in words):
        return True
    return any(wanted in decoded(word).casefold() for word in process.argv)


def _with_ancestors(everything: Sequence[ProcessPart], shown: Sequence[ProcessPart]) -> list[ProcessPart]:
    by_id = {process.id: process for process in everything}
    wanted: set[str] = set()
    for process in shown:
        at: str | None = process.id
        while at is not None and at in by_id and at not in wanted:
            wanted.add(at)
            at = by_id[at].parent
    return [process for process in everything if process.id in wanted]


def _tree(shown: Sequence[ProcessPart]) -> list[Row]:
    """Parents before children. A parent that is not shown, or a circle of parents, makes a root."""
    by_id = {process.id: process for process in shown}
    below: dict[str | None, list[ProcessPart]] = {}
    for process in shown:
        below.setdefault(process.parent if process.parent in by_id else None, []).append(process)
    listed: list[Row] = []
    placed: set[str] = set()
    _place(below.get(None, []), below, listed, placed)
    for process in shown:
        if process.id not in placed:
            _place([process], below, listed, placed)
    return listed


def _place(
    roots: Sequence[ProcessPart],
    below: dict[str | None, list[ProcessPart]],
    listed: list[Row],
    placed: set[str],
) -> None:
    stack = [(process, "", "") for process in reversed(roots)]
    while stack:
        process, stem, indent = stack.pop()
        if process.id in placed:
            continue
        placed.add(process.id)
        listed.append(Row(process, stem))
        children = [child for child in below.get(process.id, []) if child.id not in placed]
        for place, child in reversed(list(enumerate(children, 1))):
            last = place == len(children)
            stack.append((child, indent + ("└" if last else "├"), indent + (" " if last else "│")))


def _largest(value: Callable[[ProcessPart], float | None]) -> Callable[[ProcessPart], tuple[bool, float, float, str]]:
    """Largest first, unknown last, then by age: equal rows must not change places from view to view."""

    def order(process: ProcessPart) -> tuple[bool, float, float, str]:
        known = finite(value(process))
        return known is None, -(known or 0.0), process.created_s, process.id

    return order


def _tokens(process: ProcessPart) -> float | None:
    return None if process.tokens is None else process.tokens.input + process.tokens.output


_ORDERS: dict[str, Callable[[ProcessPart], tuple[object, ...]]] = {
    "cpu": _largest(lambda process: process.cpu_percent),
    "rss": _largest(lambda process: process.rss_bytes),
    "vram": _largest(lambda process: process.vram_bytes),
    "tokens": _largest(_tokens),
    "age": lambda process: (process.created_s, process.id),
    "name": lambda process: (clean(process.name).casefold(), process.created_s, process.id),
    "state": lambda process: (process.state, process.created_s, process.id),
}
