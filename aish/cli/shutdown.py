"""`aish shutdown`: end everything, in stop order."""

from __future__ import annotations

import sys

from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json
from aish.client import Aish
from aish.errors import NotRunningError, OutOfReachError


def main(argv: list[str]) -> int:
    parser = Parser("shutdown", "End all supervised processes, then gateway, daemon, holder and keeper.")
    parser.add_argument("--if-idle", action="store_true", help="refuse while something runs")
    json_option(parser)
    options = parser.parse_args(argv)
    ran = True
    try:
        with Aish(start=False, program="shutdown") as client:
            client.shutdown(force=not options.if_idle)
    except OutOfReachError:
        raise
    except NotRunningError:
        ran = False
    except KeyboardInterrupt:
        print("aish shutdown: it goes on ending; `aish ps` shows what is left", file=sys.stderr)
        raise
    if options.json:
        print_json({"ran": ran})
    return 0
