"""`aish stop`: stop signal, grace, kill; returns when they have ended."""

from __future__ import annotations

import sys

from aish.cli.arguments import Parser, targets
from aish.cli.each import each
from aish.cli.wanted import MOST_GRACE_S
from aish.client import connect
from aish.errors import UsageError
from aish.wire.message import Stop, Wait


def main(argv: list[str]) -> int:
    parser = Parser("stop", "End processes: their stop signal, and SIGKILL after a grace.")
    parser.add_argument("--grace", type=float, metavar="SECONDS", help="how long to wait before SIGKILL")
    parser.add_argument("--now", action="store_true", help="SIGKILL at once")
    parser.add_argument("--no-wait", action="store_true", help="return when the signal is sent")
    targets(parser)
    options = parser.parse_args(argv)
    if options.grace is not None and not 0 <= options.grace <= MOST_GRACE_S:
        raise UsageError(f"--grace {options.grace}: expected 0 to {MOST_GRACE_S} seconds")
    grace_s = 0.0 if options.now else options.grace
    status = each("stop", options.target, lambda target: Stop(target=target, grace_s=grace_s))
    if status == 0 and not options.no_wait:
        try:
            with connect(start=False, program="stop") as client:
                for target in options.target:
                    client.request(Wait(target=target))
        except KeyboardInterrupt:
            print("aish stop: they go on ending; `aish ps` shows what is left", file=sys.stderr)
            raise
    return status
