"""`aish logs`: what a process wrote; its stdout on ours, its stderr on ours."""

from __future__ import annotations

import os

from aish.cli.arguments import Parser, targets
from aish.client import Client, connect, follow
from aish.errors import DisconnectedError, InternalError, UsageError
from aish.wire.message import LogFiles, Logs, Wait


def main(argv: list[str]) -> int:
    parser = Parser("logs", "Show the output of processes: their stdout on stdout, their stderr on stderr.")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until they end")
    parser.add_argument("-n", "--lines", type=int, metavar="N", help="only the last N lines of each")
    parser.add_argument("--out", action="store_true", help="stdout only")
    parser.add_argument("--err", action="store_true", help="stderr only")
    targets(parser)
    options = parser.parse_args(argv)
    if options.lines is not None and options.lines < 0:
        raise UsageError(f"--lines must not be negative: {options.lines}")
    streams = (1,) if options.out and not options.err else (2,) if options.err and not options.out else (1, 2)
    logs = [_Log(target, streams, options.lines, prefixed=len(options.target) > 1) for target in options.target]
    if options.follow:
        _follow(logs)
    else:
        for log in logs:
            log.show()
            log.finish()
    return 0


class _Log:
    """The two files of one process, and the connection that tells when it has ended."""

    def __init__(self, target: str, streams: tuple[int, ...], lines: int | None, *, prefixed: bool) -> None:
        self.client: Client = connect(start=False, program="logs")
        reply, fds = self.client.request_with_fds(Logs(target=target))
        if not isinstance(reply, LogFiles) or len(fds) < 1 + (not reply.pty):
            raise InternalError(f"the daemon answered {type(reply).__name__} without the log's descriptors")
        self.id = reply.id
        self.ended = reply.ended
        self.prefix = f"{target.removeprefix('@')}: ".encode() if prefixed else b""
        self.tails = {
            number: follow.Tail(fd, 0 if lines is None else follow.last_lines(fd, lines))
            for number, fd in zip((1, 2), fds, strict=False)
            if number in streams or reply.pty
        }
        self.partial: dict[int, bytes] = {}

    def show(self) -> None:
        for number, tail in self.tails.items():
            while data := tail.read():
                _write(number, self._prefixed(number, data))

    def _prefixed(self, number: int, data: bytes) -> bytes:
        if not self.prefix:
            return data
        data = self.partial.pop(number, b"") + data
        whole, newline, rest = data.rpartition(b"\n")
        if rest:
            self.partial[number] = rest
        return b"".join(self.prefix + line + b"\n" for line in whole.split(b"\n")) if newline else b""

    def finish(self) -> None:
        """What came without a newline at the end."""
        for number, rest in self.partial.items():
            _write(number, self.prefix + rest + b"\n")
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
