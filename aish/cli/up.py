"""`aish up`: what aish.toml declares runs. What runs as declared already is left alone."""

from __future__ import annotations

import math
import sys
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from aish.cli import brought, declared
from aish.cli.arguments import Parser, json_option
from aish.cli.model_running import stored_name
from aish.client import connect, standstill
from aish.client.call import by, carry
from aish.client.connection import START_TIMEOUT_S
from aish.client.lines import Lines
from aish.client.patience import Patience
from aish.client.together import answers
from aish.errors import UnavailableError, UsageError
from aish.project import bringing
from aish.project.turn import Turn

if TYPE_CHECKING:
    from argparse import Namespace

    from aish.client import Client
    from aish.client.call import Asks, Together
    from aish.errors import AishError
    from aish.project.declared import Declared
    from aish.wire.reply import Reply

T = TypeVar("T")


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
    asked = bringing.Asked(options.name, options.profile, options.again, stops)
    if options.dry_run:
        return brought.tell_plan(look(bringing.planned(found, asked), verb), found.project, options)
    return _act(found, asked, options)


def look(asks: Asks[T], verb: str) -> T:
    """Ask where a supervisor runs; where none does, the question is told so, and none is started."""
    with closing(Lines(start=False, program=verb, patience_s=START_TIMEOUT_S)) as lines:
        return lines.run(asks)


def _say_waiting() -> None:
    print("aish: waiting for another `aish up` of this project", file=sys.stderr, flush=True)


def _act(found: Declared, asked: bringing.Asked, options: Namespace) -> int:
    several = partial(answers, program=options.verb)
    with Turn(found.project.path, _say_waiting), connect(program=options.verb) as client:
        outcomes, plan = carry(bringing.act(found, asked, stored_name), by(client, several))
    if not options.no_wait:
        try:
            with connect(program=options.verb) as client:
                patience = Patience(client.welcome.pid)
                progress = brought.Progress(options.verb, patience)
                several = partial(in_time, client=client, progress=progress)
                carry(bringing.wait(outcomes, found, options.timeout), by(client, several))
        except KeyboardInterrupt:
            print(f"aish {options.verb}: they go on starting; `aish down` ends them", file=sys.stderr)
            raise
    status = brought.tell(outcomes, found.project, options)
    brought.tell_left(plan, options)
    return status


def in_time(wanted: Together, *, client: Client, progress: brought.Progress) -> dict[str, Reply | AishError]:
    """What came in time. Raises UnavailableError where the daemon is stopped, which cannot say what became of the
    rest."""
    found = answers(wanted, progress.verb, progress)
    if len(found) < len(wanted.messages):
        stood = progress.patience.told()
        if standstill.stopped(client.welcome.pid):
            why = stood or standstill.why(client.welcome.pid) or "the daemon does not answer"
            raise UnavailableError(f"the time is over: {why}", hint="what was begun goes on; then try again")
        if stood is not None:
            print(f"aish {progress.verb}: the time is over: {stood}", file=sys.stderr, flush=True)
    return found


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
