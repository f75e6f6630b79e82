"""`aish limit`: the one verb for every limit."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from aish.cli.arguments import Parser, json_option
from aish.cli.each import each
from aish.cli.output import print_json, print_table
from aish.client import connect
from aish.client.finding import outside
from aish.errors import UsageError
from aish.model.moment import written
from aish.model.nearest import nearest
from aish.model.size import format_count
from aish.wire import account, budget
from aish.wire.message import BudgetQuery, Limit
from aish.wire.reply import Budgets

if TYPE_CHECKING:
    from aish.wire.part import BudgetLine

_OWN = ("tokens", "vram", "memory", "cpus", "pids", "read", "write", "nice", "wall", "children", "depth")
_TREE = ("children", "depth")
_KEYS = (*_OWN, *budget.WORDS)


def main(argv: list[str]) -> int:
    parser = Parser(
        "limit",
        "Change the limits of a process. A value sets, +value raises, none lifts; VALUE/day is for a day.\n"
        "Without changes: its budgets and those above it, with what is used of them.",
        "examples:\n"
        "  aish limit @review tokens=+50k vram=8G memory=16G cpus=2.5 pids=200 read=50M write=20M nice=5\n"
        "  aish limit @review usd=+2 requests=500 rpm=30 concurrent=4 context=32k hard wall=+30m\n"
        "  aish limit @planner children=8 depth=2\n"
        "  aish limit user usd=20/day\n"
        "  aish limit project:. tokens=5M/day",
    )
    parser.add_argument(
        "target",
        metavar="PROCESS",
        help="its id or name; or key:NAME for a named key, project:PATH for all of an aish.toml, user for all in all",
    )
    parser.add_argument("change", nargs="*", metavar="KEY=VALUE", help="keys: " + ", ".join(_KEYS))
    json_option(parser)
    options = parser.parse_args(argv)
    target = named(options.target)
    if not options.change:
        return _look(target, as_json=options.json)
    changes: dict[str, str] = {}
    asked: dict[str, str] = {}
    for change in options.change:
        key, value = _changed(change)
        (changes if key in _OWN else asked)[key] = value
    options.target = [target]
    request = Limit(target=target, budget=asked)
    return each("limit", options, lambda target: _with(request, changes, target))


def _with(request: Limit, changes: dict[str, str], target: str) -> Limit:
    from msgspec import structs

    return structs.replace(request, target=target, **changes)


def _changed(change: str) -> tuple[str, str]:
    """Raises UsageError."""
    key, equals, value = change.partition("=")
    if change == budget.HARD:
        return change, "yes"
    key, value = budget.one(key, value)
    if key not in _KEYS:
        near = nearest(key, _KEYS)
        raise UsageError(f"no such limit: {key}", hint=f"did you mean {near}=?" if near else "; ".join(_KEYS))
    if not equals or not value:
        raise UsageError(f"{key} needs a value", hint=_hint(key))
    return key, value


def _hint(key: str) -> str:
    if key == budget.HARD:
        return "hard refuses what would be held, hard=no holds it"
    more = {"nice": "5", "cpus": "+1", budget.WALL: "+30m", budget.USD: "+1", budget.USD_DAY: "+1"}
    example = (more | dict.fromkeys(_TREE, "+2")).get(key, "+50k")
    lifts = "" if key == "nice" else f", {budget.typed(key, 'none')} lifts it"
    return f"{budget.typed(key, example)} {'sets' if key == 'nice' else 'raises'} it{lifts}"


def named(target: str) -> str:
    """A project is known by the path of its file: `project:` is that of here, as is `project:.`."""
    path = target.removeprefix(account.PROJECT)
    if path == target or not (path in ("", ".") or "/" in path or os.path.exists(path)):
        return target
    from aish.cli.declared import path_of

    return account.PROJECT + path_of(path or None)


# --- what is used -----------------------------------------------------------------------------------------------


def _look(target: str, *, as_json: bool) -> int:
    with connect(start=outside(), program="limit") as client:
        found = client.ask(Budgets, BudgetQuery(target=target))
    if as_json:
        print_json(found)
        return 0
    if not found.lines:
        whose = account.words(target.removeprefix("@"))
        print(f"nothing is limited for {whose}: `aish limit {target} usd=5/day` would")
        return 0
    ends = time.strftime("%H:%M", time.localtime(found.day_ends_s))
    rows = [
        (
            account.written(line.account),
            line.word.removesuffix(budget.DAY) + (" a day" if line.word.endswith(budget.DAY) else ""),
            _figure(line, line.used),
            _figure(line, line.promised or None),
            _figure(line, line.most),
            _then(line, ends),
        )
        for line in found.lines
    ]
    print_table(("BUDGET OF", "WHAT", "USED", "PROMISED", "MOST", "THEN"), rows, ("USED", "PROMISED", "MOST"))
    return 0


def _figure(line: BudgetLine, value: float | None) -> str:
    if value is None:
        return "-"
    if line.word == budget.WALL:
        return written(round(value))
    return budget.shown_usd(value) if line.word in budget.DOLLARS else format_count(int(value))


def _then(line: BudgetLine, ends: str) -> str:
    """What becomes of a request for which too little is left."""
    if line.word == budget.WALL:
        return "it is stopped"
    if line.word in _TREE:
        return "what it starts is refused"
    if line.word in ("rpm", "concurrent"):
        return "it waits for its turn"
    if line.hard:
        return "it is refused"
    return f"it is held until {ends}" if line.word.endswith(budget.DAY) else "it is held"
