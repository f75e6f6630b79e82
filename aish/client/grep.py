"""What a pattern leaves of a log. Nothing of it waits, but a long log takes its time: what is left out comes as empty
blocks, so that whoever reads can do something else in between."""

from __future__ import annotations

import re
import shlex
from collections import deque
from typing import TYPE_CHECKING, Final

from aish.client.interleave import PIECES_MOST
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


def matching(blocks: Iterable[Block], pattern: re.Pattern[str], begun: dict[int, bool]) -> Iterator[Block]:
    """Each block with only the lines in which the pattern is found. `begun` is kept for the blocks that follow:
    whether the line of a stream of which pieces are still to come is one of them."""
    for block in blocks:
        lines = block.lines()
        first = [begun.get(block.stream, False)] if block.begun and lines else []
        fits = first + [bool(pattern.search(_text(line))) for line in lines[len(first) :]]
        if block.goes_on and fits:
            begun[block.stream] = fits[-1]
        if not any(fits):
            yield block._replace(data=b"", begun=False, goes_on=False)
            continue
        end = b"" if fits[-1] and not block.data.endswith(b"\n") else b"\n"
        data = b"\n".join(line for line, fit in zip(lines, fits, strict=True) if fit) + end
        yield block._replace(data=data, begun=block.begun and fits[0], goes_on=block.goes_on and fits[-1])


def _text(line: bytes) -> str:
    return line[:SEARCHED_BYTES].rstrip(b"\r").decode(errors="surrogateescape")


def last(blocks: Iterable[Block], count: int) -> Iterator[Block]:
    """The last `count` lines, where they can be told only by looking at all. Empty blocks come first, without a time:
    whoever merges by time has them all before any line."""
    kept: deque[deque[Block]] = deque(maxlen=count)
    open_: dict[int, deque[Block]] = {}
    for block in blocks:
        for line in block.each():
            pieces = open_.pop(line.stream, None) if line.begun else None
            if pieces is None:
                pieces = deque(maxlen=PIECES_MOST)
                kept.append(pieces)
            pieces.append(line)
            if line.goes_on:
                open_[line.stream] = pieces
        yield block._replace(data=b"", after_ns=None, until_ns=None, begun=False, goes_on=False)
    for pieces in kept:
        yield from pieces
