"""The lines of one process's log, apart from the waiting: what is there now, and whether more may come."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from aish.client.interleave import STREAMS
from aish.client.logreader import LogReader
from aish.errors import InternalError, UsageError
from aish.wire.message import Logs, Wait
from aish.wire.reply import LogFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aish.client.follow import Growth
    from aish.client.interleave import Block
    from aish.wire.reply import Reply

Stream: TypeAlias = Literal["stdout", "stderr"]
AGAIN_S: Final = 0.1
"""How soon to look again at what has been written and is not yet in the log's index."""
_NUMBERS: Final[dict[Stream, int]] = {"stdout": 1, "stderr": 2}
_NAMES: Final[dict[int, Stream]] = {number: name for name, number in _NUMBERS.items()}


class LogLine(NamedTuple):
    """A line that a process wrote, without its end. Longer ones than 1 MiB come in pieces."""

    stream: Stream
    """Of a process with a terminal, and of an ordered log, all is "stdout"."""
    data: bytes
    time_s: float | None
    """Seconds since the epoch: it was written not later than this; None: nobody knows."""
    within_s: float | None
    """And not so much earlier."""

    @property
    def text(self) -> str:
        """What is no UTF-8 in it is shown as �."""
        return self.data.rstrip(b"\r").decode(errors="replace")


class LogWanted(NamedTuple):
    """Which part of a log."""

    target: str
    follow: bool
    since_s: float | None
    until_s: float | None
    last: int | None
    streams: Sequence[Stream]

    def request(self) -> Logs:
        """Raises UsageError."""
        unknown = [name for name in self.streams if name not in _NUMBERS]
        if unknown or not self.streams:
            raise UsageError(f"streams {list(self.streams)}: expected stdout, stderr or both")
        if self.last is not None and self.last < 0:
            raise UsageError(f"last {self.last}: expected a number of lines")
        if self.follow and self.until_s is not None:
            raise UsageError("both follow and until_s", hint="one of them")
        return Logs(target=self.target, index=True)


class LogAnswers:
    """Takes the descriptors. `ended` is for who waits to set, when the daemon says so."""

    def __init__(self, wanted: LogWanted, reply: Reply, fds: list[int]) -> None:
        if not isinstance(reply, LogFiles) or len(fds) < 2 + reply.index:
            raise InternalError(f"the daemon answered {type(reply).__name__} without the log's descriptors")
        streams = STREAMS if reply.pty else tuple(_NUMBERS[name] for name in wanted.streams)
        self.reader = LogReader(fds[0], fds[1], fds[2] if reply.index else None, streams)
        self.reader.window(_ns(wanted.since_s), _ns(wanted.until_s), wanted.last)
        self.ended = reply.ended or not wanted.follow
        self._id = reply.id

    def request(self) -> Wait:
        """Its answer says that it has ended."""
        return Wait(target=self._id)

    def watched_by(self, growth: Growth) -> None:
        for fd in self.reader.fds:
            growth.watch(fd)

    @property
    def again_s(self) -> float | None:
        """How soon to look again though nothing grows; None: it is not needed."""
        return AGAIN_S if self.reader.unindexed() else None

    def news(self) -> Iterator[list[LogLine]]:
        """What has come since; when it has ended, the rest. Read again after the end was told: it may have written
        until then."""
        blocks = self.reader.blocks(all_=self.ended)
        for block in chain(blocks, self.reader.rest()) if self.ended else blocks:
            yield _lines(block)

    def close(self) -> None:
        self.reader.close()


def _ns(moment_s: float | None) -> int | None:
    return None if moment_s is None else max(0, int(moment_s * 1e9))


def _lines(block: Block) -> list[LogLine]:
    time_s = None if block.until_ns is None else block.until_ns / 1e9
    within_s = None
    if block.until_ns is not None and block.after_ns is not None:
        within_s = (block.until_ns - block.after_ns) / 1e9
    return [LogLine(_NAMES[block.stream], data, time_s, within_s) for data in block.lines()]
