"""The lines of logs, apart from the waiting: what is there now, merged by time, and whether more may come."""

from __future__ import annotations

import re
from heapq import merge
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from aish.client import choice, grep
from aish.client.call import Files
from aish.client.interleave import STREAMS
from aish.client.logreader import LogReader
from aish.errors import InternalError, UsageError
from aish.wire.message import Logs, WaitMany
from aish.wire.reply import LogFiles

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from aish.client.call import Asks
    from aish.client.choice import Labels, Target
    from aish.client.follow import Growth
    from aish.client.interleave import Block
    from aish.wire.reply import Reply

Stream: TypeAlias = Literal["stdout", "stderr"]
AGAIN_S: Final = 0.1
"""How soon to look again at what has been written and is not yet in the log's index."""
_NUMBERS: Final[dict[Stream, int]] = {"stdout": 1, "stderr": 2}
_NAMES: Final[dict[int, Stream]] = {number: name for name, number in _NUMBERS.items()}


class LogLine(NamedTuple):
    """A line that a process wrote, without its end. A longer one than 1 MiB comes in pieces."""

    stream: Stream
    """Of a process with a terminal, and of an ordered log, all is "stdout"."""
    data: bytes
    time_s: float | None
    """Seconds since the epoch: it was written not later than this; None: nobody knows."""
    within_s: float | None
    """And not so much earlier."""
    id: str
    """Of its process."""
    name: str
    continued: bool = False
    """It is a piece, and the stream's next one goes on with the same line."""

    @property
    def text(self) -> str:
        """What is no UTF-8 in it is shown as �."""
        return self.data.rstrip(b"\r").decode(errors="replace")


class LogWanted(NamedTuple):
    """Which part of which logs."""

    targets: Sequence[Target]
    labels: Labels | None
    kind: str | None
    follow: bool
    since_s: float | None
    until_s: float | None
    last: int | None
    streams: Sequence[Stream]
    grep: str | re.Pattern[str] | None

    def opened(self) -> Asks[LogAnswers]:
        """Ask for all of them. Raises UsageError, NotFoundError."""
        self._check()
        pattern = grep.compiled(self.grep, "grep") if isinstance(self.grep, str) else self.grep
        logs: list[Log] = []
        try:
            for target, name in (yield from choice.logged(self.targets, self.labels, self.kind)):
                reply, fds = yield Files(Logs(target=target, index=True))
                logs.append(Log(self, pattern, name or target, reply, fds))
        except BaseException:
            for log in logs:
                log.reader.close()
            raise
        return LogAnswers(logs, follow=self.follow)

    def _check(self) -> None:
        unknown = [name for name in self.streams if name not in _NUMBERS]
        if unknown or not self.streams:
            raise UsageError(f"streams {list(self.streams)}: expected stdout, stderr or both")
        if self.last is not None and self.last < 0:
            raise UsageError(f"last {self.last}: expected a number of lines")
        if self.follow and self.until_s is not None:
            raise UsageError("both follow and until_s", hint="one of them")
        choice.check_kind(self.kind, "kind")


def reader(reply: Reply, fds: Sequence[int], streams: Collection[int] = STREAMS) -> tuple[LogFiles, LogReader]:
    """What reads the log of an answer to Logs(index=True); `streams` where it is known which line is of which. Takes
    the descriptors."""
    if not isinstance(reply, LogFiles) or len(fds) < 2 + reply.index:
        raise InternalError(f"the daemon answered {type(reply).__name__} without the log's descriptors")
    shown = STREAMS if reply.pty or reply.ordered else streams
    return reply, LogReader(fds[0], fds[1], fds[2] if reply.index else None, shown)


class Log:
    """One of them. Takes the descriptors."""

    def __init__(
        self, wanted: LogWanted, pattern: re.Pattern[str] | None, name: str, reply: Reply, fds: Sequence[int]
    ) -> None:
        files, self.reader = reader(reply, fds, [_NUMBERS[stream] for stream in wanted.streams])
        self.id, self.name, self.ended = files.id, files.name or name, files.ended
        self._pattern = pattern
        self._begun: dict[int, bool] = {}
        self._last = None if pattern is None else wanted.last
        count = wanted.last if pattern is None else None  # else which are the last is known when all were looked at
        self.reader.window(_ns(wanted.since_s), _ns(wanted.until_s), count)

    def blocks(self, *, ended: bool) -> Iterator[tuple[Log, Block]]:
        """What has come since; when it has ended, the rest."""
        blocks: Iterator[Block] = self.reader.blocks(all_=ended)
        blocks = chain(blocks, self.reader.rest()) if ended else blocks
        if self._pattern is not None:
            blocks = grep.matching(blocks, self._pattern, self._begun)
        if self._last is not None:
            blocks, self._last = grep.last(blocks, self._last), None
        return ((self, block) for block in blocks)

    def lines(self, block: Block) -> list[LogLine]:
        time_s = None if block.until_ns is None else block.until_ns / 1e9
        within_s = None
        if block.until_ns is not None and block.after_ns is not None:
            within_s = (block.until_ns - block.after_ns) / 1e9
        stream = _NAMES[block.stream]
        lines = [LogLine(stream, data, time_s, within_s, self.id, self.name) for data in block.lines()]
        return [*lines[:-1], lines[-1]._replace(continued=True)] if lines and block.goes_on else lines


class LogAnswers:
    """`ended` is for who waits to set, when the daemon says that all have: what they wrote until then is read once
    more. One that had ended before is known to have."""

    def __init__(self, logs: list[Log], *, follow: bool) -> None:
        self._logs = logs
        self.ended = not follow or all(log.ended for log in logs)

    def request(self) -> WaitMany:
        """Its answer says that all have ended."""
        return WaitMany(targets=list(dict.fromkeys(log.id for log in self._logs if not log.ended)))

    def watched_by(self, growth: Growth) -> None:
        for log in self._logs:
            for fd in log.reader.fds:
                growth.watch(fd)

    @property
    def again_s(self) -> float | None:
        """How soon to look again though nothing grows; None: it is not needed."""
        return AGAIN_S if any(log.reader.unindexed() for log in self._logs) else None

    def news(self) -> Iterator[list[LogLine]]:
        """What has come since, in order; when they have ended, the rest. A piece may be empty: others may have their
        turn there."""
        for log, block in merge(*(log.blocks(ended=self.ended or log.ended) for log in self._logs), key=_time):
            yield log.lines(block)

    def close(self) -> None:
        for log in self._logs:
            log.reader.close()


def _time(item: tuple[Log, Block]) -> int:
    return item[1].until_ns or 0


def _ns(moment_s: float | None) -> int | None:
    return None if moment_s is None else max(0, int(moment_s * 1e9))
