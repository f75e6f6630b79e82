"""`aish logs`: what processes wrote, in order; their stdout on ours, their stderr on ours."""

from __future__ import annotations

import os
import resource
import sys
import time
from heapq import merge
from itertools import chain
from typing import TYPE_CHECKING, Final

from aish.cli import log_lines
from aish.cli.arguments import Parser, label_option, targets
from aish.client import choice, connect, follow, grep
from aish.client.call import by, carry
from aish.client.finding import recorded
from aish.client.interleave import STREAMS
from aish.client.log_answers import reader
from aish.client.logreader import INDEX_WAIT_S
from aish.errors import DisconnectedError, UsageError
from aish.model import label, moment
from aish.report import clean
from aish.wire.log_index import INTERVAL_NS
from aish.wire.message import Logs, Wait

if TYPE_CHECKING:
    import re
    from argparse import Namespace
    from collections.abc import Collection, Iterable, Iterator

    from aish.client import Client
    from aish.client.interleave import Block

    Dress = log_lines.Plain | log_lines.Json

SHOWN_NS: Final = 1_000_000
"""How exactly a time is shown: who types it again means that line, too."""
AGAIN_MS: Final = 100
MANY: Final = 64
"""Logs; each needs four descriptors."""


def main(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    since_ns, until_ns, pattern = _checked(options)
    streams = (1,) if options.out and not options.err else (2,) if options.err and not options.out else STREAMS
    with connect(start=recorded(), program="logs") as client:
        chosen = _chosen(client, options)
        if len(chosen) > MANY:
            _raise_limit()
        logs = [_Log(client, target, name, streams, pattern) for target, name in chosen]
    for log in logs:
        if log.note is not None:
            print(f"aish logs: {clean(log.name)}: {clean(log.note)}", file=sys.stderr, flush=True)
        if log.mixed and len(streams) == 1:
            stream = "stdout" if streams == (1,) else "stderr"
            text = f"its log is ordered: which lines are of {stream} is not known, all are shown"
            print(f"aish logs: {clean(log.name)}: {text}", file=sys.stderr, flush=True)
    if options.stats:
        _show_stats(logs, as_json=options.json)
        return 0
    dress = log_lines.Json() if options.json else log_lines.Plain([log.name for log in logs])
    for log in logs:
        log.window(since_ns, until_ns, options.lines)
        if not options.json:
            log.tell_unsure(since_ns, until_ns)
    if options.follow:
        _follow(logs, dress)
    else:
        _write_all(dress, merge(*(log.everything() for log in logs), key=_time))
    return 0


def _show_stats(logs: list[_Log], *, as_json: bool) -> None:
    from aish.cli import log_stats
    from aish.client.log_stats import counted

    asked = [counted(log.id, log.name, log.reader, time.time(), mixed=log.mixed) for log in logs]
    log_stats.show([carry(each, lambda _: None) for each in asked], as_json=as_json)


def _parser() -> Parser:
    parser = Parser("logs", "Show the output of processes: their stdout on stdout, their stderr on stderr, in order.")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until they end")
    parser.add_argument("-n", "--lines", type=int, metavar="N", help="only the last N lines of each")
    parser.add_argument("--since", metavar="TIME", help="from then on: 5m (ago), 14:30, 2026-07-01T09:00")
    parser.add_argument("--until", metavar="TIME", help="only until then")
    parser.add_argument("--grep", metavar="REGEX", help="only lines in whose first 4096 bytes this is found")
    parser.add_argument("--kind", metavar="KIND", help="only those of that kind: command, agent, model, system")
    parser.add_argument("--out", action="store_true", help="stdout only")
    parser.add_argument("--err", action="store_true", help="stderr only")
    parser.add_argument("--stats", action="store_true", help="how much was written, and when, instead of what")
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON object per line: process, id, stream, time, within_s, text or json; `continued` where the "
        "next text goes on with the same line",
    )
    label_option(parser, "of those that have this label")
    targets(parser, none="without any: all of --kind or --label, or all that have not ended")
    return parser


def _checked(options: Namespace) -> tuple[int | None, int | None, re.Pattern[str] | None]:
    """The window's two moments and the pattern. Raises UsageError."""
    if options.lines is not None and options.lines < 0:
        raise UsageError(f"--lines must not be negative: {options.lines}")
    if options.follow and (options.until or options.stats):
        other = "--until" if options.until else "--stats"
        raise UsageError(f"--follow goes on and {other} does not", hint="leave one of them out")
    choice.check_kind(options.kind, "--kind")
    now_s = time.time()
    since_ns, until_ns = (
        max(0, int(moment.parse_moment_s(text, now_s) * 1e9) + slack_ns) if text is not None else None
        for text, slack_ns in ((options.since, -SHOWN_NS), (options.until, SHOWN_NS))
    )
    if since_ns is not None and until_ns is not None and until_ns < since_ns:
        raise UsageError(f"--until {options.until} is before --since {options.since}", hint="the other way round?")
    return since_ns, until_ns, None if options.grep is None else grep.compiled(options.grep)


def _chosen(client: Client, options: Namespace) -> list[tuple[str, str]]:
    """What to ask for and what to call it, for each. Raises UsageError, NotFoundError."""
    wanted = choice.logged(options.target, label.parse_wanted(options.label), options.kind)
    return [(target, name or target.removeprefix("@")) for target, name in carry(wanted, by(client))]


def _raise_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Log:
    """The log of one process; while it is followed, with the connection that tells when it has ended."""

    def __init__(
        self, client: Client, target: str, name: str, streams: Collection[int], pattern: re.Pattern[str] | None
    ) -> None:
        reply, fds = client.request_with_fds(Logs(target=target, index=True))
        files, self.reader = reader(reply, fds, streams)
        self.id, self.ended, self.name, self.mixed = files.id, files.ended, name, files.ordered
        self.note = files.note
        self._pattern = pattern
        self._begun: dict[int, bool] = {}
        self._last: int | None = None
        self._waiting: Client | None = None
        self._offsets: tuple[int, ...] = ()
        self._moved_s = 0.0

    def window(self, since_ns: int | None, until_ns: int | None, count: int | None) -> None:
        if self._pattern is not None:  # which are the last ones is known when all were looked at
            self._last, count = count, None
        self.reader.window(since_ns, until_ns, count)

    def tell_unsure(self, since_ns: int | None, until_ns: int | None) -> None:
        """Where the index has a gap at the window's edge, what is shown may lie outside of it."""
        for after_ns, before_ns in self.reader.unsure(since_ns, until_ns):
            if after_ns is not None and before_ns - after_ns <= 2 * INTERVAL_NS:
                continue
            since = f"between {moment.iso(after_ns)} and" if after_ns is not None else "before"
            text = f"what was written {since} {moment.iso(before_ns)} is known only as a whole"
            print(f"aish logs: {clean(self.name)}: {text}", file=sys.stderr, flush=True)

    def everything(self) -> Iterator[tuple[_Log, Block]]:
        """All of the window that is there."""
        return self._named(chain(self.reader.blocks(all_=True), self.reader.rest()))

    def news(self, *, whole: bool) -> Iterator[tuple[_Log, Block]]:
        """What has come since; without `whole` also what does not become a whole line: a prompt, a progress bar."""
        whole = whole or self._pattern is not None
        return self._named(chain(self.reader.blocks(all_=self.ended), () if whole else self._stuck()))

    def _stuck(self) -> Iterator[Block]:
        """A line that was begun and not ended, when nothing has come for a while."""
        now_s = time.monotonic()
        if self.reader.offsets != self._offsets:
            self._offsets, self._moved_s = self.reader.offsets, now_s
        elif now_s - self._moved_s >= INDEX_WAIT_S:
            yield from self.reader.rest()

    def unfinished(self, *, whole: bool) -> bool:
        """Whether it is to be looked at again even if nothing comes."""
        return self.reader.unindexed() or (not whole and self._pattern is None and self.reader.partial)

    def _named(self, blocks: Iterable[Block]) -> Iterator[tuple[_Log, Block]]:
        if self._pattern is not None:
            blocks = grep.matching(blocks, self._pattern, self._begun)
        if self._last is not None:
            blocks, self._last = grep.last(blocks, self._last), None
        return ((self, block) for block in blocks)

    def ask(self) -> None:
        if self._waiting is None:
            self._waiting = connect(start=False, program="logs")
        self._waiting.send(Wait(target=self.id))

    def fileno(self) -> int:
        assert self._waiting is not None
        return self._waiting.fileno()

    def answered(self) -> None:
        assert self._waiting is not None
        try:
            self._waiting.receive()
            self.ended = True
            self._waiting.close()
        except DisconnectedError:
            self._waiting.reconnect()
            self.ask()


def _follow(logs: list[_Log], dress: Dress) -> None:
    with follow.Growth() as growth:
        for log in logs:
            for fd in log.reader.fds:
                growth.watch(fd)
            if not log.ended:
                log.ask()
        while True:
            growth.clear()
            done = all(log.ended for log in logs)  # read once more after the end was told
            if done:
                _write_all(dress, merge(*(log.everything() for log in logs), key=_time))
                return
            _write_all(dress, merge(*(log.news(whole=dress.whole) for log in logs), key=_time))
            pending = {log.fileno(): log for log in logs if not log.ended}
            again = any(log.unfinished(whole=dress.whole) for log in logs)
            for fd in follow.wait(growth, list(pending), AGAIN_MS if again else None):
                pending[fd].answered()


def _time(item: tuple[_Log, Block]) -> int:
    return item[1].until_ns or 0


def _write_all(dress: Dress, blocks: Iterable[tuple[_Log, Block]]) -> None:
    for log, block in blocks:
        fd, data = dress.dress(log.name, log.id, block, mixed=log.mixed)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
