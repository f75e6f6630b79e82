"""What a pattern leaves of a log. Nothing of it waits, but a long log takes its time: what is left out comes as empty
blocks, so that whoever reads can do something else in between."""

from __future__ import annotations

import re
import shlex
from collections import deque
from typing import TYPE_CHECKING, Final

from aish.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aish.client.interleave import Block

SEARCHED_BYTES: Final = 4096
"""How much of a line a pattern is looked for in: what a pattern costs may grow with the square of a line's length."""


def compiled(pattern: str, what: str = "--grep") -> re.Pattern[str]:
    """`what`: how whoever wrote it calls it. Raises UsageError."""
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(
            f"{what} {pattern}: not a pattern: {error}",
            hint=f"for the text itself: {what} {shlex.quote(re.escape(pattern))}",
        ) from error


def matching(blocks: Iterable[Block], pattern: re.Pattern[str]) -> Iterator[Block]:
    """Each block with only the lines in which the pattern is found."""
    for block in blocks:
        lines = block.lines()
        found = [line for line in lines if pattern.search(_text(line))]
        partial = bool(found) and found[-1] == lines[-1] and not block.data.endswith(b"\n")
        yield block._replace(data=b"\n".join(found) + (b"\n" if found and not partial else b""))


def _text(line: bytes) -> str:
    return line[:SEARCHED_BYTES].rstrip(b"\r").decode(errors="surrogateescape")


def last(blocks: Iterable[Block], count: int) -> Iterator[Block]:
    """The last `count` lines, where they can be told only by looking at all. Empty blocks come first, without a time:
    whoever merges by time has them all before any line."""
    kept: deque[Block] = deque(maxlen=count)
    for block in blocks:
        *whole, partial = block.data.split(b"\n")
        kept.extend(block._replace(data=line + b"\n") for line in whole)
        if partial:
            kept.append(block._replace(data=partial))
        yield block._replace(data=b"", after_ns=None, until_ns=None)
    yield from kept
