"""`aish usage`: the gateway's own records, summed."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from aish.cli.arguments import Parser, json_option
from aish.cli.output import age, print_json, print_table, usd
from aish.client import choice, connect
from aish.client.finding import outside
from aish.errors import NotFoundError, UsageError
from aish.model.name import KEY
from aish.model.nearest import nearest
from aish.wire.message import Inspect, KeyList, Snapshot, UsageQuery, WindowList
from aish.wire.part import TokensPart, UsageRow, WindowPart
from aish.wire.reply import Inspected, Keys, UsageTable, View, Windows

if TYPE_CHECKING:
    from aish.client import Client

_BY = ("process", "agent", "model", "day", "project")
_WINDOWS = ("ACCOUNT", "WINDOW", "USED", "RESETS IN", "RESERVE", "HELD", "STATUS", "SEEN", "SOURCE")
_RIGHT = ("USED", "RESETS IN", "RESERVE", "SEEN")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def main(argv: list[str]) -> int:
    parser = Parser(
        "usage",
        "Sum what the gateway recorded: tokens, cost, seconds, time to the first token. Of one PROCESS: its own,\n"
        "that of each process below it that is not forgotten, and all of it.",
    )
    parser.add_argument(
        "target", nargs="?", metavar="PROCESS", help="an id (p12), a name, with or without @, or key:NAME"
    )
    parser.add_argument("--by", metavar="WHAT", help="agent (default), process, model, day or project")
    parser.add_argument("--since", metavar="AGE", help="only the last 30m, 2h, 1d")
    parser.add_argument("--windows", action="store_true", help="usage windows of subscriptions instead")
    parser.add_argument("--csv", action="store_true", help="comma-separated values, with all figures")
    json_option(parser)
    options = parser.parse_args(argv)
    if options.windows:
        if options.target is not None or options.by is not None or options.since is not None:
            raise UsageError(
                "--windows: they are those of accounts, as they are now", hint="aish usage --windows [--csv]"
            )
        return _windows(json=options.json, csv=options.csv)
    by = _by(options.by, options.target)
    since_s = None if options.since is None else time.time() - _age_s(options.since)
    with connect(start=outside(), program="usage") as client:
        rows = client.ask(UsageTable, UsageQuery(by=by, since_s=since_s)).rows
        if options.target is not None:
            ids = _tree(client, options.target)
            rows = [row for row in rows if row.key in ids]
    if options.json:
        print_json(rows)
    elif options.csv:
        _print_csv(rows, by)
    else:
        _print_rows(rows if options.target is None else [*rows, _sum(rows)], by)
    return 0


def _by(word: str | None, target: str | None) -> str:
    """Raises UsageError."""
    if target is not None:
        if word not in (None, "process"):
            raise UsageError(f"--by {word} is of all, not of {target}", hint="leave out one of them")
        return "process"
    if word is not None and word not in _BY:
        near = nearest(word, _BY)
        raise UsageError(
            f"--by {word}: no such sum", hint=f"did you mean {near}?" if near else "one of " + ", ".join(_BY)
        )
    return word or "agent"


def _tree(client: Client, target: str) -> set[str]:
    """The ids of that process and of all below it, or a key. Raises NotFoundError."""
    if target.startswith(KEY):
        known = [KEY + key.name for key in client.ask(Keys, KeyList()).keys]
        if target not in known:
            near = nearest(target, known)
            raise NotFoundError(f"no such key: {target}", hint=f"did you mean {near}?" if near else "aish key ls")
        return {target}
    id = client.ask(Inspected, Inspect(target=target)).process.id
    rows = client.ask(View, Snapshot(all=True)).processes
    return {id, *(row.id for row in choice.below(rows, {id}))}


def _windows(*, json: bool, csv: bool) -> int:
    with connect(start=outside(), program="usage") as client:
        found = client.ask(Windows, WindowList()).windows
    if json:
        print_json(found)
    elif csv:
        _print_windows_csv(found)
    elif not found:
        print(
            "no usage window is known: a subscription's answers tell of them; see `--login client` in docs/gateway.md"
        )
    else:
        print_windows(found)
    return 0


def print_windows(found: list[WindowPart]) -> None:
    now_s = time.time()
    logins = {(part.account, part.login) for part in found}
    names = [account for account, _ in logins]
    rows = [
        [
            f"{part.account}#{part.login}" if names.count(part.account) > 1 else part.account,
            part.window,
            "-" if part.used is None else f"{part.used:.0%}",
            "-" if part.resets_s is None else age(now_s, part.resets_s),
            "-" if part.reserve is None else f"{part.reserve:.0%}",
            _waiting(part),
            part.status or "-",
            age(part.seen_s),
            part.source,
        ]
        for part in found
    ]
    print_table(_WINDOWS, rows, _RIGHT)


def _print_windows_csv(found: list[WindowPart]) -> None:
    """RFC 4180. What is not known is empty, times are seconds since the epoch."""
    fields = ("account", "login", "window", "used", "resets_s", "reserve", "status", "seen_s", "source")
    rows = [[*(getattr(part, name) for name in fields), " ".join(part.held), " ".join(part.parked)] for part in found]
    _write_csv([*fields, "held", "parked"], rows)


def _write_csv(names: list[str], rows: list[list[object]]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)


def _waiting(part: WindowPart) -> str:
    return ", ".join([*part.held, *(f"{id} (parked)" for id in part.parked)]) or "-"


def _sum(rows: list[UsageRow]) -> UsageRow:
    tokens = {name: sum(getattr(row.tokens, name) for row in rows) for name in TokensPart.__struct_fields__}
    return UsageRow(
        key="all",
        tokens=TokensPart(**tokens),
        seconds=sum(row.seconds for row in rows),
        failures=sum(row.failures for row in rows),
    )


def _print_rows(found: list[UsageRow], by: str) -> None:
    figures = ("REQUESTS", "INPUT", "CACHED", "OUTPUT", "USD", "SECONDS", "FIRST TOKEN", "FAILED")
    observed = any(row.tokens.observed for row in found)
    named = (by.upper(),) if by == "model" else (by.upper(), "MODEL")
    rows = [
        [
            *(_who(row, by), row.model or "-")[: len(named)],
            str(row.tokens.requests),
            _counted(row.tokens.input, row.tokens),
            str(row.tokens.cached),
            _counted(row.tokens.output, row.tokens),
            usd(row.tokens),
            f"{row.seconds:.1f}",
            "-" if row.first_token_s is None else f"{row.first_token_s:.2f}s",
            str(row.failures),
            *([_meter(row.tokens)] if observed else ()),
        ]
        for row in found
    ]
    print_table((*named, *figures, *(("METER",) if observed else ())), rows, figures)


def _counted(count: int, tokens: TokensPart) -> str:
    """`~` where some of the tokens are estimated: which ones, of input or of output, is not recorded."""
    return f"~{count}" if tokens.estimated else str(count)


def _meter(tokens: TokensPart) -> str:
    """How they are known: metered at the gateway, or observed in logs of sessions."""
    if not tokens.observed:
        return "metered"
    return "observed" if tokens.observed >= tokens.input + tokens.output else "both"


def _print_csv(found: list[UsageRow], by: str) -> None:
    """RFC 4180. What is not known is empty."""
    figures = ("requests", "input", "cached", "output", "reasoning", "estimated", "cost_usd", "unpriced", "observed")
    rows = []
    for row in found:
        sums = [getattr(row.tokens, name) for name in figures]
        rows.append([row.key, row.name, row.model, *sums, row.seconds, row.first_token_s, row.failures])
    _write_csv([by, "name", "model", *figures, "seconds", "first_token_s", "failures"], rows)


def _who(row: UsageRow, by: str) -> str:
    """A key by its key, a process by its id and name, the others by their name."""
    if by == "project" and not row.key:
        return "-"
    if row.key.startswith(KEY) or row.name is None:
        return row.key
    return f"{row.key} {row.name}" if by == "process" and row.name != row.key else row.name


def _age_s(text: str) -> float:
    digits, unit = text[:-1], text[-1:]
    if unit not in _UNITS_S or not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
        raise UsageError(f"not an age: {text!r}", hint="write 30m, 2h or 1d")
    return float(digits) * _UNITS_S[unit]
