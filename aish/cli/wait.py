"""`aish wait`: until processes have ended, or are ready."""

from __future__ import annotations

import math
import select
import time

from aish.cli.arguments import Parser, json_option, targets
from aish.cli.output import print_json
from aish.client import Client, connect
from aish.client.stage import STATUS_LOST, STATUS_NOT_RUNNABLE
from aish.errors import DisconnectedError, InternalError, UsageError
from aish.model import exit as exits
from aish.wire.message import Wait, Waited
from aish.wire.part import ExitPart

STATUS_TIMED_OUT = 124
"""As timeout(1) has it."""
_POLL_MOST_MS = 86_400_000
"""poll(2) counts milliseconds in an int: longer waits are made of several."""


def main(argv: list[str]) -> int:
    parser = Parser(
        "wait",
        "Wait until all processes have ended; the status is that of the last one named, 124 after the time-out.",
    )
    parser.add_argument(
        "--ready", action="store_true", help="until they are ready; what has no readiness: until it runs"
    )
    parser.add_argument("--any", action="store_true", help="return when the first of them has")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after this time")
    json_option(parser)
    targets(parser)
    options = parser.parse_args(argv)
    if options.timeout is not None and not (math.isfinite(options.timeout) and options.timeout >= 0):
        raise UsageError(f"--timeout {options.timeout}: expected seconds, 0 or more")
    deadline = None if options.timeout is None else time.monotonic() + options.timeout
    until = "ready" if options.ready else "ended"
    waits = [_Wait(target, until) for target in options.target]
    try:
        results = _collect(waits, deadline, first_only=options.any)
    finally:
        for wait in waits:
            wait.client.close()
    if options.json:
        print_json(results)
    return _status(results, len(waits) if not options.any else 1, ready=options.ready)


class _Wait:
    """One question under way, asked again of the next daemon if need be."""

    def __init__(self, target: str, until: str) -> None:
        self.request = Wait(target=target, until=until)
        self.client: Client = connect(start=False, program="wait")
        self.client.send(self.request)

    def answer(self) -> Waited | None:
        try:
            reply = self.client.receive()
        except DisconnectedError:
            self.client.reconnect()
            self.client.send(self.request)
            return None
        if not isinstance(reply, Waited):
            raise InternalError(f"the daemon answered {type(reply).__name__} to a wait")
        return reply


def _collect(waits: list[_Wait], deadline: float | None, *, first_only: bool) -> list[Waited]:
    answers: dict[int, Waited] = {}
    while len(answers) < len(waits) and not (first_only and answers):
        poll = select.poll()
        pending = {wait.client.fileno(): place for place, wait in enumerate(waits) if place not in answers}
        for fd in pending:
            poll.register(fd, select.POLLIN)
        left_ms = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        ready = poll.poll(None if left_ms is None else min(left_ms, _POLL_MOST_MS))
        if not ready and left_ms is not None and left_ms <= _POLL_MOST_MS:
            break
        for fd, _ in ready:
            answer = waits[pending[fd]].answer()
            if answer is not None:
                answers[pending[fd]] = answer
    return [answers[place] for place in sorted(answers)]


def _status(results: list[Waited], expected: int, *, ready: bool) -> int:
    if len(results) < expected:
        return STATUS_TIMED_OUT
    end = results[-1].exit
    if ready:
        return 0 if end is None else 1  # it ended before it was ready
    return shell_status(end or ExitPart())


def shell_status(end: ExitPart) -> int:
    """The status that a shell reports for it; 126 where it never ran, 69 where nobody can tell."""
    if end.code is not None:
        return end.code
    if end.signal is not None:
        return 128 + end.signal
    return STATUS_NOT_RUNNABLE if end.reason == exits.START else STATUS_LOST
