"""The tools that look and change nothing."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Final

from aish.client.log_page import PageWanted, page
from aish.errors import AishError, NotFoundError, RefusedError, TimedOutError, UsageError
from aish.model import kind as kinds
from aish.model.moment import parse_duration_s
from aish.model.size import format_bytes
from aish.tools import results as r
from aish.tools.arguments import MOST_ROWS
from aish.tools.desk import bare
from aish.wire.spec import LimitPart

if TYPE_CHECKING:
    from aish.client.log_answers import Stream
    from aish.tools import arguments as a
    from aish.tools.desk import Call
    from aish.wire.part import ProcessPart
    from aish.wire.reply import Inspected

_EVENTS: Final = 20
_STREAMS: Final[dict[str, tuple[Stream, ...]]] = {
    "both": ("stdout", "stderr"),
    "stdout": ("stdout",),
    "stderr": ("stderr",),
}


async def ps(call: Call, wanted: a.Ps) -> r.Tree:
    view = await call.aish.view(all=wanted.all, labels=wanted.labels)
    own = await call.own()
    rows = [row for row in r.tree_order(view.processes) if not wanted.mine or row.id in own]
    shown = [r.Process.of(row, mine=row.id in own, now_s=view.time_s) for row in rows[:MOST_ROWS]]
    return r.Tree(processes=shown, left_out=max(0, len(rows) - MOST_ROWS), alerts=view.alerts)


async def inspect(call: Call, wanted: a.One) -> r.Inspected:
    found = await call.aish.inspect(bare(wanted.process))
    row, spec = found.process, found.spec
    return r.Inspected(
        process=await call.shown(row),
        command=[r.plain(word) for word in spec.argv],
        folder=r.plain(spec.cwd),
        children=found.children,
        limits=_limits(found),
        budgets=await _budgets(call, row.id),
        asks=[f"q{each.number} {each.told()}" for each in await call.aish.questions(row.id)],
        events=[f"{each.kind} {each.text}".strip() for each in found.events[-_EVENTS:]],
    )


def _limits(found: Inspected) -> dict[str, str]:
    spec, limits = found.spec, found.spec.limits or LimitPart()
    told = {
        "memory": None if limits.memory_bytes is None else format_bytes(limits.memory_bytes),
        "cpus": None if limits.cpus is None else f"{limits.cpus:g}",
        "pids": None if limits.pids is None else str(limits.pids),
        "children": None if limits.children is None else f"{limits.children} at a time",
        "depth": None if limits.depth is None else f"{limits.depth} levels",
        "vram": None if spec.vram_bytes is None else format_bytes(spec.vram_bytes),
        "timeout": None if spec.run_timeout_s is None else f"{spec.run_timeout_s:g} s",
        "not held here": ", ".join(found.unheld) or None,
    }
    return {name: value for name, value in told.items() if value is not None}


async def _budgets(call: Call, id: str) -> list[str]:
    try:
        return [r.budget_line(line) for line in (await call.aish.budgets(id)).lines]
    except AishError:
        return []  # it is gone, or only the user may know


async def why(call: Call, wanted: a.One) -> r.Explained:
    found = await call.aish.why(bare(wanted.process))
    evidence = [f"{each.source}: {each.text}" for each in found.evidence]
    return r.Explained(id=found.id, name=found.name, state=found.state, why=found.paragraph, evidence=evidence)


async def wait(call: Call, wanted: a.Wait) -> r.Waited:
    if wanted.any and wanted.until == "ready":
        raise UsageError("any is not for until=ready", hint="wait for one of them, or for all")
    targets = [bare(each) for each in wanted.processes]
    with call.telling(targets[0], wanted.timeout_s):
        try:
            if wanted.until == "ready":
                await call.aish.wait_ready(*targets, timeout_s=wanted.timeout_s)
            elif wanted.any:
                await call.aish.wait_any(*targets, timeout_s=wanted.timeout_s)
            else:
                await call.aish.wait_all(*targets, timeout_s=wanted.timeout_s)
            over = True
        except TimedOutError:
            over = False
    own = await call.own()
    rows = [await call.row(target) for target in targets]
    return r.Waited(over=over, processes=[r.Process.of(row, mine=row.id in own) for row in rows])


async def logs(call: Call, wanted: a.Logs) -> r.Log:
    asked = PageWanted(
        bare(wanted.process), wanted.last, after=wanted.after, grep=wanted.grep, streams=_STREAMS[wanted.stream]
    )
    found = await call.aish.carry(page(asked))
    lines = [r.log_text(line) for line in found.lines]
    return r.Log(
        id=found.id, name=found.name, lines=lines, after=found.after, more=found.more, left_out=found.left_out
    )


async def mail(call: Call, wanted: a.Mail) -> r.Messages:
    if wanted.number is not None:
        try:
            part = await call.aish.response(wanted.number, timeout_s=wanted.timeout_s)
        except TimedOutError:
            found = [each for each in await call.aish.mail() if each.number == wanted.number]
            if not found:
                raise
            part = found[0]
        return r.Messages(messages=[r.Message.of(part, most=r.ANSWER_CHARS)])
    parts = await call.aish.mail(None if wanted.agent is None else bare(wanted.agent))
    return r.Messages(messages=[r.Message.of(part) for part in parts[-wanted.last :]])


async def usage(call: Call, wanted: a.Usage) -> r.Used:
    since_s = None if wanted.since is None else time.time() - parse_duration_s(wanted.since)
    welcome = await call.desk.welcome()
    budgets = [] if welcome.caller is None else await _budgets(call, welcome.caller)
    try:
        rows = await call.aish.usage(by=wanted.by, since_s=since_s)
    except RefusedError as error:
        if wanted.by not in ("process", "model") or since_s is not None:
            raise RefusedError(
                f"usage by {wanted.by}{' since a moment' if since_s else ''} is for the person",
                hint="a supervised process may ask by process or model, of what is below it, without since",
            ) from error
        return r.Used(by=wanted.by, sums=_sums(await call.aish.processes(all=True), wanted.by), budgets=budgets)
    return r.Used(by=wanted.by, sums=[r.Sum.of(row) for row in rows[:MOST_ROWS]], budgets=budgets)


def _sums(rows: list[ProcessPart], by: str) -> list[r.Sum]:
    """Of what a supervised process may see: the records of the gateway are the user's."""
    asked = [row for row in rows if row.tokens is not None and row.kind != kinds.MODEL]
    if by == "process":
        return [r.Sum.summed(row.id, row.name, [row.tokens]) for row in asked if row.tokens is not None]
    models = sorted({row.model or "-" for row in asked})
    return [
        r.Sum.summed(model, None, [row.tokens for row in asked if row.tokens and (row.model or "-") == model])
        for model in models
    ]


async def models(call: Call, wanted: a.Models) -> r.Askables:
    running = {row.name: row.state for row in await call.aish.processes() if row.kind == kinds.MODEL}
    folder = os.path.abspath(os.path.expanduser(wanted.cwd or call.desk.folder))
    if not os.path.isdir(folder):
        raise NotFoundError(f"there is no folder {folder}")
    return r.Askables(askable=(await asyncio.to_thread(_askable, running, folder))[:MOST_ROWS])


def _askable(running: dict[str, str], folder: str) -> list[r.Askable]:
    """What is stored, and which agents a folder has, is read from the disk."""
    from aish import store
    from aish.agents import adapters, find

    agents = find.names(folder)
    found = [r.Askable(name=name, kind="model", state=running.get(name, "stored")) for name in store.names()]
    known = {each.name for each in found}
    found += [r.Askable(name=name, kind="model", state=state) for name, state in running.items() if name not in known]
    found += [r.Askable(name=name, kind="agent") for name in agents]
    return found + [r.Askable(name=name, kind="program") for name in adapters.names() if name not in agents]
