"""`aish requests`: every single request to a model, as the gateway has recorded it."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Final

from msgspec import structs

from aish.cli.arguments import Parser, json_option
from aish.cli.limit import named
from aish.cli.output import json_line, print_json, print_table, usd_of, when
from aish.client import connect, follow
from aish.client.finding import outside
from aish.errors import UsageError
from aish.model import moment
from aish.model.name import KEY
from aish.report import clean
from aish.top import amount
from aish.wire import account
from aish.wire.message import KeepText, RequestsQuery, TextQuery
from aish.wire.reply import RequestList, RequestText, TextsKept

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from aish.client import Client
    from aish.wire.part import RequestPart

LAST_MOST: Final = 500
LOOK_S: Final = 0.25
LEAST_SPAN_S: Final = 0.05
UNDER_WAY: Final = "…"
CUT_BYTES: Final = 4096
"""So much shorter a text may be for the keys that were taken out."""
_STATUS: Final = {None: UNDER_WAY, 0: "died", 499: "hung up"}
_HEADER: Final = (
    *("NO", "TIME", "WHO", "MODEL", "ENDPOINT"),
    *("INPUT", "CACHED", "OUTPUT", "USD", "FIRST", "SECONDS", "TOK/S", "STATUS"),
)
_RIGHT: Final = ("NO", *_HEADER[5:-1])
_WIDTHS: Final = (6, 8, 16, 16, 16, 6, 6, 6, 7, 5, 7, 5, 7)
"""Of the lines that come one by one: what follows cannot be known."""


def main(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    if options.text is not None:
        return _show(options.text, as_json=options.json)
    if options.keep_text or options.no_text:
        return _keep(options.who, keep=not options.no_text, as_json=options.json)
    wanted = _wanted(options)
    with connect(start=outside(), program="requests") as client:
        found = client.ask(RequestList, wanted)
        if options.follow:
            return _follow(client, wanted, found, as_json=options.json)
    if options.json:
        print_json(found.requests)
    else:
        print_table(_HEADER, [_cells(part) for part in found.requests], _RIGHT)
    return 0


def _parser() -> Parser:
    parser = Parser("requests", "Show single requests to models, oldest first.")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with those that end from now on")
    parser.add_argument("-n", "--last", type=int, default=20, metavar="N", help="the last N of them (20)")
    parser.add_argument("--since", metavar="TIME", help="from then on: 5m (ago), 14:30, 2026-07-01T09:00")
    parser.add_argument("--model", metavar="MODEL", help="only those to this model")
    parser.add_argument("--failed", action="store_true", help="only those that were answered with an error")
    parser.add_argument(
        "who", nargs="*", metavar="WHO", help="only of these: processes, ended ones too, agents, or keys (key:NAME)"
    )
    texts = parser.add_mutually_exclusive_group()
    texts.add_argument(
        "--text", type=int, metavar="N", help="what was said in request N, where that is kept (NO, number)"
    )
    texts.add_argument(
        "--keep-text",
        action="store_true",
        help="keep what is said in requests of WHO from now on: a process with all that it starts, key:NAME, "
        "project:PATH, user for all; without WHO: whose is kept",
    )
    texts.add_argument("--no-text", action="store_true", help="keep it no longer, and drop what is kept of WHO")
    json_option(parser)
    return parser


def _show(number: int, *, as_json: bool) -> int:
    with connect(start=outside(), program="requests") as client:
        found = client.ask(RequestText, TextQuery(number=number))
    if as_json:
        print_json(found)
        return 0
    head = (when(found.time_s, time.time()), found.process, found.model, found.endpoint)
    print(clean("  ".join((*head, _STATUS.get(found.status, str(found.status))))))
    print(f"\nasked{_cut(found.asked, found.asked_bytes)}:\n{_readable(found.asked)}")
    print(f"\nanswered{_cut(found.answered, found.answered_bytes)}:\n{_readable(found.answered)}")
    return 0


def _cut(text: str, whole_bytes: int) -> str:
    return f" (a part of {whole_bytes} bytes)" if len(text.encode()) + CUT_BYTES < whole_bytes else ""


def _readable(text: str) -> str:
    """JSON with a line for each value; what the text has in it cannot steer a terminal."""
    try:
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        pass
    return "\n".join(clean(line) for line in text.splitlines())


def _keep(who: Sequence[str], *, keep: bool, as_json: bool) -> int:
    """Raises UsageError."""
    if not who and not keep:
        raise UsageError("--no-text of whom?", hint="aish requests --no-text user: of all")
    with connect(start=outside(), program="requests") as client:
        for target in who:
            client.ask(TextsKept, KeepText(target=named(target), keep=keep))
        found = client.ask(TextsKept, KeepText())
    if as_json:
        print_json(found.accounts)
        return 0
    whose = ", ".join(map(account.words, found.accounts))
    print(f"the text of requests is kept of {whose}" if whose else "the text of requests is not kept, of nobody")
    return 0


def _wanted(options: Namespace) -> RequestsQuery:
    """Raises UsageError."""
    if not 0 <= options.last <= LAST_MOST:
        raise UsageError(f"--last {options.last}: expected 0 to {LAST_MOST}")
    since_s = None if options.since is None else moment.parse_moment_s(options.since, time.time())
    return RequestsQuery(
        last=options.last, since_s=since_s, who=options.who, model=options.model, failed=options.failed
    )  # fmt: skip


def _follow(client: Client, wanted: RequestsQuery, found: RequestList, *, as_json: bool) -> int:
    """One line for each that has ended, in the order of their ends. Ends by Ctrl-C, or when nobody reads any more."""
    if not as_json:
        print(_line(_HEADER))
    seen, open_numbers = 0, set[int]()
    while True:
        for part in found.requests:
            seen = max(seen, part.number)
            if part.status is None:
                open_numbers.add(part.number)
                continue
            open_numbers.discard(part.number)
            print(json_line(part) if as_json else _line(_cells(part)), flush=True)
        wanted = structs.replace(wanted, after=seen, last=LAST_MOST, numbers=sorted(open_numbers)[:LAST_MOST])
        if not found.more:
            time.sleep(LOOK_S)
            if follow.reader_left():
                raise BrokenPipeError
        found = client.ask(RequestList, wanted)


def _line(cells: Sequence[str]) -> str:
    padded = [
        cell.rjust(width) if name in _RIGHT else cell.ljust(width)
        for name, cell, width in zip(_HEADER, cells, _WIDTHS, strict=True)
    ]
    return clean("  ".join(padded).rstrip())


def _cells(part: RequestPart) -> list[str]:
    """What is known of it; of one under way that is not what it took."""
    exact, under_way = "~" if part.estimated else "", part.status is None
    return [
        str(part.number),
        when(part.time_s, time.time()),
        part.process if part.name is None or part.process.startswith(KEY) else f"{part.process} {part.name}",
        part.model,
        part.endpoint.removeprefix("/v1").lstrip("/"),
        f"{exact}{part.input}" if not under_way else amount.UNKNOWN,
        str(part.cached) if not under_way else amount.UNKNOWN,
        f"{exact}{part.output}" if not under_way else amount.UNKNOWN,
        usd_of(part.cost_usd) if not under_way else amount.UNKNOWN,
        _seconds(part.first_token_s, 2),
        _seconds(part.seconds, 1),
        _rate(part),
        _STATUS.get(part.status, str(part.status)),
    ]


def _seconds(value: float | None, places: int) -> str:
    return amount.UNKNOWN if value is None or not math.isfinite(value) else f"{value:.{places}f}"


def _rate(part: RequestPart) -> str:
    """Tokens a second after the first one; not of an answer that came all at once, where that tells nothing."""
    if part.seconds is None or part.first_token_s is None or part.output < 2:
        return amount.UNKNOWN
    span_s = part.seconds - part.first_token_s
    return f"{(part.output - 1) / span_s:.0f}" if span_s >= LEAST_SPAN_S else amount.UNKNOWN
