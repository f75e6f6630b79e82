"""`aish stop`: stop signal, grace, kill; returns when they have ended."""

from __future__ import annotations

import sys

from aish.cli.arguments import Parser, json_option, targets
from aish.cli.each import chosen, for_each
from aish.client import connect
from aish.errors import AishError, UsageError
from aish.model.spec import MOST_GRACE_S
from aish.wire.message import Stop, Wait
from aish.wire.plain import plain
from aish.wire.reply import Done, Waited


def main(argv: list[str]) -> int:
    parser = Parser("stop", "End processes: their stop signal, and SIGKILL after a grace.")
    parser.add_argument("--grace", type=float, metavar="SECONDS", help="how long to wait before SIGKILL")
    parser.add_argument("--now", action="store_true", help="SIGKILL at once")
    parser.add_argument("--no-wait", action="store_true", help="return when the signal is sent")
    targets(parser, labels=True, tree=True)
    json_option(parser)
    options = parser.parse_args(argv)
    if options.grace is not None and not 0 <= options.grace <= MOST_GRACE_S:
        raise UsageError(f"--grace {options.grace}: expected 0 to {MOST_GRACE_S:.0f} seconds")
    grace_s = 0.0 if options.now else options.grace
    with connect(start=False, program="stop") as client:
        refused: dict[str, AishError] = {}
        asked: dict[str, Done] = {}
        targets_ = chosen(client, options)
        for target in targets_:  # all are asked before the first is waited for
            try:
                asked[target] = client.ask(Done, Stop(target=target, grace_s=grace_s))
            except AishError as error:
                refused[target] = error

        def act(target: str) -> object:
            if target in refused:
                raise refused[target]
            return (
                {}
                if options.no_wait
                else plain(client.ask(Waited, Wait(target=target, restarts=asked[target].restarts)))
            )

        try:
            return for_each("stop", targets_, act, as_json=options.json)
        except KeyboardInterrupt:
            print("aish stop: they go on ending; `aish ps` shows what is left", file=sys.stderr)
            raise
