"""`aish adopt`: a process that runs already is supervised from now on."""

from __future__ import annotations

import secrets

from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json
from aish.cli.wanted import limit_options, limits_of
from aish.client import connect
from aish.client.finding import outside
from aish.client.stranger import start_ticks
from aish.errors import UsageError
from aish.model.signal_number import signal_number
from aish.report import clean
from aish.wire.message import Adopt
from aish.wire.reply import Started


def main(argv: list[str]) -> int:
    parser = Parser(
        "adopt",
        "Supervise a process of yours that runs already: ps, limits, events, stop, pause and wait are for it, too.\n"
        "It does not notice: its output stays where it goes, and in your shell it stays the job that it is.",
        "example: python train.py >train.log & aish adopt --pid $! --name train --memory 16G",
    )
    parser.add_argument("--pid", type=int, required=True, metavar="PID", help="which; $! is bash's last job")
    parser.add_argument("--name", metavar="NAME", help="how ps and @NAME call it; default: the program's name")
    limit_options(parser)
    parser.add_argument("--stop-signal", default="TERM", metavar="SIGNAL", help="how it is asked to end (TERM)")
    parser.add_argument("--grace", type=float, default=10.0, metavar="SECONDS", help="from stop signal to SIGKILL")
    json_option(parser)
    options = parser.parse_args(argv)
    if options.name == "":
        raise UsageError("--name is empty", hint="leave it out to get the program's name")
    request = Adopt(
        token=secrets.token_hex(16),
        pid=options.pid,
        start_ticks=start_ticks(options.pid),
        name=options.name,
        limits=limits_of(options),
        stop_signal=signal_number(options.stop_signal),
        grace_s=options.grace,
    )
    with connect(start=outside(), program="adopt") as client:
        started = client.ask(Started, request)
    if options.json:
        print_json(started)
    else:
        print(f"{started.id}  {started.name}" + (f"  {clean(started.reason)}" if started.reason else ""))
    return 0
