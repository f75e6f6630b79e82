"""A page of one log, bounded in lines and bytes: its end, or what comes behind the page before. Pure but for reading.

A position is how far both streams have been read: bytes that stay where they are also when the log's beginning goes.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.client import grep
from aish.client.call import Breath, Files
from aish.client.choice import name_of
from aish.client.log_answers import Log, LogLine, LogWanted, Stream
from aish.errors import InternalError, UsageError
from aish.wire.message import Logs
from aish.wire.reply import LogFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.client.call import Asks
    from aish.client.choice import Target

LINE_BYTES: Final = 8192
"""Of a longer line no more is in a page."""
_POSITION: Final = re.compile(r"(\d{1,18})\.(\d{1,18})")


class PageWanted(NamedTuple):
    target: Target
    last: int
    """So many lines at most: the last ones, or (with `after`) the first behind it."""
    after: str | None = None
    """The position at which the page before ended."""
    grep: str | None = None
    streams: Sequence[Stream] = ("stdout", "stderr")
    most_bytes: int = 64 << 10


class LogPage(NamedTuple):
    id: str
    name: str
    lines: list[LogLine]
    after: str
    """What to pass to get what follows."""
    more: bool = False
    """There is more behind it already."""
    left_out: int = 0
    """Lines before these that `most_bytes` had no place for."""


def page(wanted: PageWanted) -> Asks[LogPage]:
    """Raises NotFoundError, RefusedError, UsageError."""
    offsets = None if wanted.after is None else position(wanted.after)
    pattern = None if wanted.grep is None else grep.compiled(wanted.grep, "grep")
    last = wanted.last if offsets is None else None
    whole = LogWanted((wanted.target,), None, None, False, None, None, last, wanted.streams, None)
    reply, fds = yield Files(Logs(target=name_of(wanted.target), index=True))
    if not isinstance(reply, LogFiles):
        raise InternalError(f"the daemon answered {type(reply).__name__} for a log")
    log = Log(whole, pattern if offsets is None else None, reply.name or name_of(wanted.target), reply, fds)
    try:
        if offsets is None:
            return (yield from _end(log, wanted))
        return (yield from _behind(log, wanted, offsets, pattern))
    finally:
        log.reader.close()


def position(text: str) -> tuple[int, int]:
    """Raises UsageError."""
    found = _POSITION.fullmatch(text)
    if found is None:
        raise UsageError(
            f"after {text[:40]!r}: not a position in a log", hint="pass what the last answer had as after"
        )
    return int(found[1]), int(found[2])


def _end(log: Log, wanted: PageWanted) -> Asks[LogPage]:
    lines: deque[LogLine] = deque()
    size = left_out = 0
    for _, block in log.blocks(ended=True):
        for line in log.lines(block):
            line = _cut(line)
            lines.append(line)
            size += len(line.data)
            while size > wanted.most_bytes or len(lines) > wanted.last:
                size -= len(lines.popleft().data)
                left_out += 1
        yield Breath()
    return LogPage(log.id, log.name, list(lines), _told(log.reader.offsets), left_out=left_out)


def _behind(log: Log, wanted: PageWanted, offsets: tuple[int, int], pattern: re.Pattern[str] | None) -> Asks[LogPage]:
    read = dict(zip((1, 2), log.reader.begin(offsets), strict=True))
    lines: list[LogLine] = []
    size = 0
    for _, block in log.blocks(ended=True):
        for each in block.each():
            found = [_cut(line) for line in log.lines(each)]
            found = [line for line in found if pattern is None or pattern.search(line.text)]
            size += sum(len(line.data) for line in found)
            if lines and (size > wanted.most_bytes or len(lines) + len(found) > wanted.last):
                return LogPage(log.id, log.name, lines, _told(tuple(read.values())), more=True)
            lines += found
            read[each.stream] += len(each.data)
        yield Breath()
    return LogPage(log.id, log.name, lines, _told(log.reader.offsets))


def _cut(line: LogLine) -> LogLine:
    return line if len(line.data) <= LINE_BYTES else line._replace(data=line.data[:LINE_BYTES], continued=True)


def _told(offsets: tuple[int, ...]) -> str:
    return ".".join(map(str, offsets))
