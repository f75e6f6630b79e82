"""`aish restart`: stop, then start, as one step that survives the daemon."""

from __future__ import annotations

from aish.cli.arguments import Parser, json_option, targets
from aish.cli.each import each
from aish.client import launch
from aish.errors import UsageError
from aish.model.spec import MOST_GRACE_S
from aish.wire.message import Restart


def main(argv: list[str]) -> int:
    parser = Parser("restart", "Stop processes and start them again; ended ones are started.")
    parser.add_argument("--grace", type=float, metavar="SECONDS", help="how long to wait before SIGKILL")
    parser.add_argument("--keep-env", action="store_true", help="with the environment that they had before")
    targets(parser, labels=True)
    json_option(parser)
    options = parser.parse_args(argv)
    if options.grace is not None and not 0 <= options.grace <= MOST_GRACE_S:
        raise UsageError(f"--grace {options.grace}: expected 0 to {MOST_GRACE_S:.0f} seconds")
    here = None if options.keep_env else launch.capture()
    return each(
        "restart", options, lambda target: Restart(target=target, launch=here, grace_s=options.grace), gone=True
    )
