"""What a fault may change of an answer, from its words to its bytes on the wire. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from aish.plugins.simprovider.reply import Reply
from aish.plugins.simprovider.said import Event, Said

Ends = Literal["answer", "error", "either"]
"""What a client should get in the end: the whole answer, an error, or one of both."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Fault:
    """Each step is a function of the result of the one before it; None leaves that as it is. `events` and `sse` are
    of streams, `body` is of answers that come whole. `stream` and `whole` say what is right for a client of each;
    None: the fault has nothing to do with such answers, which come as if there was none."""

    what: str
    stream: Ends | None = None
    whole: Ends | None = None
    said: Callable[[Said], Said] | None = None
    events: Callable[[list[Event]], Iterable[Event]] | None = None
    sse: Callable[[list[bytes]], Iterable[bytes]] | None = None
    body: Callable[[bytes], Iterable[bytes]] | None = None
    reply: Callable[[Reply], Reply] | None = None
    error: tuple[int, str] | None = None
    """Status and message of an error that comes in place of the answer, in the dialect's own shape."""
    told_error: bool = False
    """An error is told inside the stream, or in place of a whole answer with status 200."""
    flips: bool = False
    """A whole answer comes in place of a stream, and a stream in place of a whole answer."""


NONE: Final = Fault(what="nothing goes wrong", stream="answer", whole="answer")
