"""`aish wrapup`: a last message, then the end."""

from __future__ import annotations

import sys

from aish.cli.arguments import Parser, json_option, targets
from aish.cli.each import chosen, for_each
from aish.client import connect
from aish.errors import AishError, UsageError
from aish.model.moment import parse_duration_s
from aish.wire.message import Wait, Wrapup
from aish.wire.plain import plain
from aish.wire.reply import Done, Waited


def _check_grace(grace: str) -> None:
    """A bare number of tokens may look like a time, and 2m would be two million of them. Raises UsageError."""
    if grace[-1:] in ("s", "m", "h", "d") and grace[:-1].replace(".", "", 1).isdecimal():
        hint = f"--within {grace} says how long it has"
        if grace[-1] == "m":
            hint += f", and --grace tokens={grace} how many million tokens it may use"
        raise UsageError(f"--grace {grace}: is that a time?", hint=hint)


def main(argv: list[str]) -> int:
    parser = Parser(
        "wrapup",
        "Have processes say a last message, and end them. The next request of each to a model is asked for that,\n"
        "also where it is held by a budget; what comes after is refused. When its answer is there, or the time is\n"
        "over, it gets its stop signal.",
        "example: aish wrapup @review --grace tokens=2k --within 1m",
    )
    parser.add_argument(
        "--grace",
        default="",
        metavar="LIMITS",
        help="what it may still ask: requests=1 (default), tokens=2k,usd=0.10",
    )
    parser.add_argument("--within", default="30s", metavar="TIME", help="how long it has (30s)")
    parser.add_argument("--message", metavar="TEXT", help="what it is told, in place of aish's own words")
    parser.add_argument("--no-wait", action="store_true", help="return when it is asked")
    targets(parser, labels=True)
    json_option(parser)
    options = parser.parse_args(argv)
    within_s = parse_duration_s(options.within)
    _check_grace(options.grace)
    with connect(start=False, program="wrapup") as client:
        refused: dict[str, AishError] = {}
        asked: dict[str, Done] = {}
        names = chosen(client, options)
        for name in names:  # all are asked before the first is waited for
            request = Wrapup(target=name, grace=options.grace, within_s=within_s, message=options.message)
            try:
                asked[name] = client.ask(Done, request)
            except AishError as error:
                refused[name] = error

        def act(name: str) -> object:
            if name in refused:
                raise refused[name]
            if options.no_wait:
                return {"changed": asked[name].changed}
            return plain(client.ask(Waited, Wait(target=name, restarts=asked[name].restarts)))

        try:
            return for_each("wrapup", names, act, as_json=options.json)
        except KeyboardInterrupt:
            print("aish wrapup: they go on wrapping up; `aish ps` shows what is left", file=sys.stderr)
            raise
