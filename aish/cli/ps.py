"""`aish ps`: the tree of supervised processes."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from aish.cli.arguments import Parser, json_option, label_option
from aish.cli.output import age, exit_word, print_json, print_table, when
from aish.client import connect
from aish.client.finding import recorded
from aish.config import folders
from aish.errors import NotFoundError, NotRunningError, OutOfReachError, UsageError
from aish.model import exit as exits
from aish.model import label, moment, state
from aish.model.nearest import nearest
from aish.model.size import format_bytes, format_count
from aish.report import clean
from aish.wire.message import Snapshot
from aish.wire.reply import View

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator

    from aish.wire.part import ProcessPart

HEADER = ("ID", "NAME", "KIND", "STATE", "CPU%", "RSS", "VRAM/QUOTA", "TOKENS", "AGE", "DOING")
ENDED_HEADER = ("ID", "NAME", "KIND", "STATE", "ENDED", "RAN", "RESTARTS", "EXIT", "WHY")
_RIGHT = ("RAN", "RESTARTS", "CPU%", "RSS", "VRAM/QUOTA", "TOKENS", "AGE")


def main(argv: list[str]) -> int:
    parser = Parser("ps", "Show supervised processes as one tree, with state, use and cost.")
    parser.add_argument("-a", "--all", action="store_true", help="ended processes and aish's own as well")
    parser.add_argument("--ended", action="store_true", help="those that have ended instead, newest first")
    parser.add_argument("--since", metavar="TIME", help="with --ended: since then: 1h (ago), 14:30, 2026-07-01")
    parser.add_argument("-q", "--quiet", action="store_true", help="ids only")
    label_option(parser, "only those with this label")
    parser.add_argument("target", nargs="*", metavar="PROCESS", help="only these: ids or names, with or without @")
    json_option(parser)
    options = parser.parse_args(argv)
    request, unsupervised = _request(options), False
    try:
        with connect(start=_of_the_past(options) and recorded()) as client:
            view = client.ask(View, request)
            rows, alerts = view.processes, view.alerts
    except OutOfReachError:
        raise
    except NotRunningError:  # nothing is supervised, which is an answer and no error
        rows, alerts = [], _remnant()
        unsupervised = bool(alerts)
    if options.target:
        rows = [_named(rows, target) for target in options.target]
    if options.ended:
        rows.sort(key=lambda row: row.ended_s or 0.0, reverse=True)
    if options.json:
        print_json(rows)
    elif options.quiet:
        for row in rows:
            print(row.id)
    elif not rows and (options.label or options.ended):
        print("no process has " + " and ".join(_conditions(options)))
    elif not rows:
        if not unsupervised:
            print("nothing is supervised; `aish spawn -- COMMAND` starts something, `aish run` runs it here")
    else:
        _show(rows, ended=options.ended)
    if not (options.json or options.quiet) or unsupervised:
        sys.stdout.flush()
        for alert in alerts:
            print(f"aish: {clean(alert)}", file=sys.stderr)
    return 0


def _remnant() -> list[str]:
    """What should be supervised, and is not."""
    from aish.supervisor.daemon import remnant  # only where there is no daemon
    from aish.supervisor.holder import kernel

    text = remnant.told(remnant.running(os.path.join(folders.state(), folders.TABLE), kernel.boot_id()))
    return [] if text is None else [text]


def _request(options: Namespace) -> Snapshot:
    """Raises UsageError."""
    if options.since is not None and not options.ended:
        raise UsageError("--since says when something ended: it needs --ended")
    since_s = 0.0 if options.ended else None
    if options.since is not None:
        since_s = moment.parse_moment_s(options.since, time.time())
    named = bool(options.target) and not options.ended
    return Snapshot(
        all=options.all or named,
        labels=label.parse_wanted(options.label),
        ended_since_s=since_s,
        figures=options.json or not options.quiet,
    )


def _of_the_past(options: Namespace) -> bool:
    """Whether it may be about what an earlier supervisor had."""
    return bool(options.all or options.ended or options.target)


def _conditions(options: Namespace) -> list[str]:
    """What is asked for that nothing meets."""
    found = ["the labels " + " ".join(options.label)] if options.label else []
    if options.ended:
        found.append("ended" + (f" since {options.since}" if options.since else ""))
    return found


def _show(rows: list[ProcessPart], *, ended: bool) -> None:
    if ended:
        now_s = time.time()
        print_table(ENDED_HEADER, [ended_cells(row, now_s) for row in rows], _RIGHT)
    else:
        print_table(HEADER, [cells(row, stem) for row, stem in tree(rows)], _RIGHT)


def _named(rows: list[ProcessPart], target: str) -> ProcessPart:
    """The one that lives before one that has ended, the latest of those. Raises NotFoundError."""
    word = target.removeprefix("@")
    found = [row for row in rows if word in (row.id, row.name)]
    if not found:
        near = nearest(word, [word for row in rows for word in (row.name, row.id)])
        raise NotFoundError(f"no process is called {word}", hint=f"did you mean {near}?" if near else None)
    return max(found, key=lambda row: (row.lifecycle not in state.ENDED, row.created_s))


def tree(rows: Iterable[ProcessPart]) -> Iterator[tuple[ProcessPart, str]]:
    """Rows in tree order, each with the lines that lead to it. A row whose parent is not shown is a root."""
    rows = list(rows)
    known = {row.id for row in rows}
    below: dict[str | None, list[ProcessPart]] = {}
    for row in rows:
        below.setdefault(row.parent if row.parent in known else None, []).append(row)
    stack = [(row, "", "") for row in reversed(below.get(None, []))]
    while stack:
        row, stem, indent = stack.pop()
        yield row, stem
        children = below.get(row.id, [])
        for place, child in reversed(list(enumerate(children, 1))):
            last = place == len(children)
            stack.append((child, indent + ("└" if last else "├"), indent + (" " if last else "│")))


def cells(row: ProcessPart, stem: str) -> list[str]:
    tokens = None if row.tokens is None else row.tokens.input + row.tokens.output
    spent = (
        format_count(tokens)
        if row.budget_tokens is None
        else f"{format_count(tokens or 0)}/{format_count(row.budget_tokens)}"
    )
    if row.observe is not None:
        spent += " observed"
    vram = "-"
    if row.vram_bytes is not None or row.vram_quota_bytes is not None:
        vram = f"{format_bytes(row.vram_bytes)}/{format_bytes(row.vram_quota_bytes)}"
    return [
        row.id,
        stem + row.name,
        row.kind if row.sandbox is None else f"{row.kind} [{row.sandbox}]",
        row.state,
        "-" if row.cpu_percent is None else f"{row.cpu_percent:.0f}",
        format_bytes(row.rss_bytes),
        vram,
        spent,
        age(row.started_s or row.created_s, row.ended_s),
        doing(row),
    ]


def ended_cells(row: ProcessPart, now_s: float) -> list[str]:
    """A line of what was: when, for how long, how and why."""
    reason = row.exit.reason if row.exit is not None else None
    why = [word for word in (reason if reason != exits.DONE else None, row.reason) if word]
    return [
        row.id,
        row.name,
        row.kind,
        row.state,
        when(row.ended_s, now_s),
        "-" if row.started_s is None or row.never_ran else age(row.started_s, row.ended_s),
        str(row.restarts),
        "-" if row.never_ran else exit_word(row.exit),
        ": ".join(why),
    ]


def doing(row: ProcessPart) -> str:
    """The last column: how it ended, why it waits, or what it does."""
    if row.lifecycle in state.ENDED:
        if row.never_ran and row.reason:
            return row.reason
        why = row.exit.reason if row.exit is not None and row.exit.reason not in (None, "done") else row.reason
        return f"exit {exit_word(row.exit)}" + (f": {why}" if why else "") if row.exit is not None else (why or "")
    if row.reason:
        return row.reason
    if row.lifecycle == state.BACKOFF:
        return f"exit {exit_word(row.exit)}: restart {row.restarts + 1} follows"
    return row.doing or (f"→{row.model}" if row.kind == "agent" and row.model else "")
