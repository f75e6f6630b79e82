"""`aish up`: what aish.toml declares runs. What runs as declared already is left alone."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from aish.cli import bringing, declared
from aish.cli.arguments import Parser, json_option
from aish.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace


def main(argv: list[str]) -> int:
    parser = Parser(
        "up",
        "Have the processes run that aish.toml declares: those that are not there are started, those whose\n"
        "declaration changed are changed or restarted, the others are left alone. Waits until they are ready.",
        "example: aish up --dry-run",
    )
    _options(parser)
    return bring(parser, argv, "up", stops=False)


def bring(parser: Parser, argv: list[str], verb: str, *, stops: bool) -> int:
    options = parser.parse_args(argv)
    options.verb, options.stops = verb, stops
    if options.timeout is not None and not (math.isfinite(options.timeout) and options.timeout > 0):
        raise UsageError(f"--timeout {options.timeout}: expected seconds, above 0")
    found = declared.load(declared.path_of(options.file), verb)
    if options.dry_run:
        return bringing.tell_plan(bringing.dry(found, options), options)
    return _act(found, options)


def _act(found: declared.Declared, options: Namespace) -> int:
    outcomes, plan = bringing.act(found, options)
    if not options.no_wait:
        try:
            bringing.wait(outcomes, found, options)
        except KeyboardInterrupt:
            print(f"aish {options.verb}: they go on starting; `aish down` ends them", file=sys.stderr)
            raise
    status = bringing.tell(outcomes, options)
    bringing.tell_left(plan, options)
    return status


def _options(parser: Parser) -> None:
    parser.add_argument("name", nargs="*", metavar="NAME", help="only these, and what they need")
    options(parser)


def options(parser: Parser) -> None:
    declared.file_option(parser)
    parser.add_argument(
        "--profile", action="append", default=[], metavar="PROFILE", help="with the entries of this one, too"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done, and why")
    parser.add_argument("--again", action="store_true", help="what has ended successfully runs once more")
    parser.add_argument("--no-wait", action="store_true", help="return when all are on their way")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="how long to wait until they are ready")
    json_option(parser)
