"""`aish shutdown`: end everything, in stop order."""

from __future__ import annotations

import sys

from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json
from aish.client import connect
from aish.client.departure import Departure
from aish.errors import DisconnectedError, NotRunningError, OutOfReachError
from aish.wire.message import Shutdown


def main(argv: list[str]) -> int:
    parser = Parser("shutdown", "End all supervised processes, then gateway, daemon, holder and keeper.")
    parser.add_argument("--if-idle", action="store_true", help="refuse while something runs")
    json_option(parser)
    options = parser.parse_args(argv)
    try:
        client = connect(start=False, program="shutdown")
    except OutOfReachError:
        raise
    except NotRunningError:
        return _ended(False, options.json)
    try:
        with Departure(client.welcome.pid) as programs:
            with client:
                client.starts = False
                try:
                    client.request(Shutdown(force=not options.if_idle))
                    client.receive()  # the end of the connection is the end of the daemon
                except (DisconnectedError, NotRunningError):  # also of one that was gone before it said so
                    pass
            programs.wait()
    except KeyboardInterrupt:
        print("aish shutdown: it goes on ending; `aish ps` shows what is left", file=sys.stderr)
        raise
    return _ended(True, options.json)


def _ended(ran: bool, as_json: bool) -> int:
    if as_json:
        print_json({"ran": ran})
    return 0
