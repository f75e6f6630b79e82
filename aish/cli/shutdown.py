"""`aish shutdown`: end everything, in stop order."""

from __future__ import annotations

from aish.cli.arguments import Parser
from aish.client import connect
from aish.errors import DisconnectedError, UnavailableError
from aish.wire.message import Shutdown


def main(argv: list[str]) -> int:
    parser = Parser("shutdown", "End all supervised processes, then gateway, daemon, holder and keeper.")
    parser.add_argument("--if-idle", action="store_true", help="refuse while something runs")
    options = parser.parse_args(argv)
    try:
        client = connect(start=False, program="shutdown")
    except UnavailableError as error:
        if not error.message.endswith("is not running"):
            raise
        return 0
    with client:
        client.request(Shutdown(force=not options.if_idle))
        try:
            client.receive()  # the end of the connection is the end of the daemon
        except DisconnectedError:
            pass
    return 0
