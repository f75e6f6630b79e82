"""`aish wait`: until processes have ended, or are ready."""

from __future__ import annotations

import math
import select
import sys
import time
from typing import TYPE_CHECKING

from aish.cli.arguments import Parser, json_option, targets
from aish.cli.each import chosen
from aish.cli.output import print_json
from aish.client import connect
from aish.client.patience import LOOK_S, Patience
from aish.client.stage import STATUS_LOST, STATUS_NOT_RUNNABLE, status_without_a_run
from aish.errors import DisconnectedError, InternalError, UsageError
from aish.model import exit as exits
from aish.wire.message import WaitMany
from aish.wire.part import ExitPart
from aish.wire.reply import WaitedMany

if TYPE_CHECKING:
    from aish.client import Client
    from aish.wire.reply import Waited

STATUS_TIMED_OUT = 124
"""As timeout(1) has it."""
_LATE_S = 2.0
"""How much later than the time-out the daemon may tell it: then it is taken for one that does not answer."""


def main(argv: list[str]) -> int:
    parser = Parser(
        "wait",
        "Wait until all processes have ended. The status is that of the first named that failed, else 0; with --any\n"
        "that of the one that was first; 124 after the time-out. With --ready it is 1 for one that ended before.",
    )
    until = parser.add_mutually_exclusive_group()
    until.add_argument(
        "--ready", action="store_true", help="until they are ready; what has no readiness: until it runs"
    )
    until.add_argument("--ended", action="store_true", help="until they have ended (default)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--any", action="store_true", help="return when the first of them has")
    which.add_argument("--all", action="store_true", help="return when all of them have (default)")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after this time")
    json_option(parser)
    targets(parser, labels=True)
    options = parser.parse_args(argv)
    if options.timeout is not None and not (math.isfinite(options.timeout) and options.timeout >= 0):
        raise UsageError(f"--timeout {options.timeout}: expected seconds, 0 or more")
    with connect(start=False, program="wait") as client:
        names = chosen(client, options, ended=None)
        request = WaitMany(targets=names, until="ready" if options.ready else "ended", any=options.any)
        patience = Patience(client.welcome.pid)
        found = _wait(client, request, options.timeout, patience)
    stood = patience.told() if found.timed_out else None
    if stood is not None:
        print(f"aish wait: the time is over: {stood}", file=sys.stderr)
    if options.json:
        print_json(found.waited)
    told = found.waited[:1] if options.any else found.waited
    return STATUS_TIMED_OUT if found.timed_out else _status(told, ready=options.ready)


def _wait(client: Client, request: WaitMany, timeout_s: float | None, patience: Patience) -> WaitedMany:
    """The daemon's answer, or that of the next daemon."""
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
        client.send(WaitMany(targets=request.targets, until=request.until, any=request.any, timeout_s=left_s))
        if not _answered(client, left_s, patience):
            return WaitedMany(timed_out=True)
        try:
            reply = client.receive()
        except DisconnectedError:
            client.reconnect()
            continue
        if not isinstance(reply, WaitedMany):
            raise InternalError(f"the daemon answered {type(reply).__name__} to a wait")
        return reply


def _answered(client: Client, left_s: float | None, patience: Patience) -> bool:
    """Whether it has anything to say, in time."""
    poll = select.poll()
    poll.register(client.fileno(), select.POLLIN)
    if left_s is None:
        return client.buffered or bool(poll.poll())
    deadline_s = time.monotonic() + left_s + _LATE_S
    while True:
        left_s = deadline_s - time.monotonic()
        if client.buffered or poll.poll(max(0.0, min(left_s, LOOK_S)) * 1000):
            return True
        if left_s <= 0:
            return False
        patience.look()


def _status(waited: list[Waited], *, ready: bool) -> int:
    """That of the first that failed."""
    if ready:
        return int(any(one.exit is not None for one in waited))  # it ended before it was ready
    return next(filter(None, (shell_status(one.exit or ExitPart(), one.reason) for one in waited)), 0)


def shell_status(end: ExitPart, why_not: str | None = None) -> int:
    """The status that a shell reports for it; 69 where nobody can tell. Where it never ran `why_not` decides: 127
    for a program that is not there, 126 for one that cannot be run."""
    if end.code == 0 and end.reason not in (None, exits.DONE, *exits.WANTED):
        return 1  # the supervisor knows better: a limit, too many restarts
    if end.code is not None:
        return end.code
    if end.signal is not None:
        return 128 + end.signal
    if end.reason != exits.START:
        return STATUS_LOST
    return STATUS_NOT_RUNNABLE if why_not is None else status_without_a_run(why_not)
