"""`aish logs`: what a process wrote; its stdout on ours, its stderr on ours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aish.cli.arguments import Parser, targets
from aish.cli.output import json_line
from aish.client import Client, connect, follow
from aish.errors import DisconnectedError, InternalError, UsageError
from aish.wire.message import LogFiles, Logs, Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    Dress = Callable[[str, int, bytes], tuple[int, bytes]]


def main(argv: list[str]) -> int:
    parser = Parser("logs", "Show the output of processes: their stdout on stdout, their stderr on stderr.")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until they end")
    parser.add_argument("-n", "--lines", type=int, metavar="N", help="only the last N lines of each")
    parser.add_argument("--out", action="store_true", help="stdout only")
    parser.add_argument("--err", action="store_true", help="stderr only")
    parser.add_argument("--json", action="store_true", help="one JSON object per line: process, stream, text")
    targets(parser)
    options = parser.parse_args(argv)
    if options.lines is not None and options.lines < 0:
        raise UsageError(f"--lines must not be negative: {options.lines}")
    streams = (1,) if options.out and not options.err else (2,) if options.err and not options.out else (1, 2)
    logs = [_Log(target, streams, options.lines, _dress(options.json, options.target)) for target in options.target]
    if options.follow:
        _follow(logs)
    else:
        for log in logs:
            log.show()
            log.finish()
    return 0


def _dress(as_json: bool, targets: list[str]) -> Dress | None:
    """What becomes of a line: the descriptor it goes to, and its bytes there. None: as it is, in any pieces."""
    if as_json:
        return _as_json
    return _prefixed if len(targets) > 1 else None


def _as_json(name: str, stream: int, line: bytes) -> tuple[int, bytes]:
    row = {"process": name, "stream": "stdout" if stream == 1 else "stderr", "text": line}
    return 1, json_line(row).encode() + b"\n"


def _prefixed(name: str, stream: int, line: bytes) -> tuple[int, bytes]:
    return stream, name.encode(errors="surrogateescape") + b": " + line + b"\n"


class _Log:
    """The two files of one process, and the connection that tells when it has ended."""

    def __init__(self, target: str, streams: tuple[int, ...], lines: int | None, dress: Dress | None) -> None:
        self.client: Client = connect(start=False, program="logs")
        reply, fds = self.client.request_with_fds(Logs(target=target))
        if not isinstance(reply, LogFiles) or len(fds) < 1 + (not reply.pty):
            raise InternalError(f"the daemon answered {type(reply).__name__} without the log's descriptors")
        self.id = reply.id
        self.ended = reply.ended
        self.name = target.removeprefix("@")
        self.dress = dress
        self.tails = {
            number: follow.Tail(fd, 0 if lines is None else follow.last_lines(fd, lines))
            for number, fd in zip((1, 2), fds, strict=False)
            if number in streams or reply.pty
        }
        self.partial: dict[int, bytes] = {}

    def show(self) -> None:
        """Write what is there; where lines are dressed, whole ones only."""
        for number, tail in self.tails.items():
            while data := tail.read():
                if self.dress is None:
                    _write(number, data)
                    continue
                whole, newline, rest = (self.partial.pop(number, b"") + data).rpartition(b"\n")
                if rest:
                    self.partial[number] = rest
                for line in whole.split(b"\n") if newline else ():
                    _write(*self.dress(self.name, number, line))

    def finish(self) -> None:
        """What came without a newline at the end."""
        for number, rest in self.partial.items():
            if self.dress is not None:
                _write(*self.dress(self.name, number, rest))
        self.partial.clear()

    def ask(self) -> None:
        self.client.send(Wait(target=self.id))

    def answered(self) -> None:
        try:
            self.client.receive()
            self.ended = True
        except DisconnectedError:
            self.client.reconnect()
            self.ask()


def _follow(logs: list[_Log]) -> None:
    with follow.Growth() as growth:
        for log in logs:
            for tail in log.tails.values():
                growth.watch(tail.fd)
            if not log.ended:
                log.ask()
        while True:
            growth.clear()
            done = all(log.ended for log in logs)  # read once more after the end was told
            for log in logs:
                log.show()
            if done:
                break
            pending = {log.client.fileno(): log for log in logs if not log.ended}
            for fd in follow.wait(growth, list(pending)):
                pending[fd].answered()
        for log in logs:
            log.finish()


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
