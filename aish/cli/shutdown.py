"""`aish shutdown`: end everything, in stop order."""

from __future__ import annotations

import os
import select
import sys
import time
from typing import TYPE_CHECKING, Final

from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json
from aish.client import bringup, connect
from aish.errors import DisconnectedError, NotRunningError, UnavailableError
from aish.wire.message import Shutdown

if TYPE_CHECKING:
    from collections.abc import Iterable

_LEAVE_S: Final = 10.0


def main(argv: list[str]) -> int:
    parser = Parser("shutdown", "End all supervised processes, then gateway, daemon, holder and keeper.")
    parser.add_argument("--if-idle", action="store_true", help="refuse while something runs")
    json_option(parser)
    options = parser.parse_args(argv)
    try:
        client = connect(start=False, program="shutdown")
    except NotRunningError:
        return _ended(False, options.json)
    programs = bringup.pidfds(client.welcome.pid)
    try:
        with client:
            client.request(Shutdown(force=not options.if_idle))
            try:
                client.receive()  # the end of the connection is the end of the daemon
            except DisconnectedError:
                pass
        await_end(programs.values())
    except KeyboardInterrupt:
        print("aish shutdown: it goes on ending; `aish ps` shows what is left", file=sys.stderr)
        raise
    finally:
        for fd in programs.values():
            os.close(fd)
    return _ended(True, options.json)


def _ended(ran: bool, as_json: bool) -> int:
    if as_json:
        print_json({"ran": ran})
    return 0


def await_end(pidfds: Iterable[int]) -> None:
    """Until the programs have ended. Raises UnavailableError after a deadline."""
    deadline = time.monotonic() + _LEAVE_S
    for fd in pidfds:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise UnavailableError(
                f"everything was told to end, but holder or keeper is still there after {_LEAVE_S:.0f} s",
                hint=f"their log is {bringup.log_path()}",
            )
