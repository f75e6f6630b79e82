"""A conversation as its host keeps it from one turn to the next: bytes, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
from pydantic_ai.messages import ModelMessagesTypeAdapter

from aish.errors import StorageError
from aish.plugins.builtin.guard import Record
from aish.plugins.builtin.repeats import Repeats

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage


def kept(messages: list[ModelMessage]) -> bytes:
    return ModelMessagesTypeAdapter.dump_json(messages)


class _Midway(msgspec.Struct):
    """The middle of a turn: what its person has granted, what became of its calls, and what bounds it, with the
    conversation."""

    conversation: msgspec.Raw
    granted: list[str] = []
    done: int = 0
    denied: int = 0
    last_denied: str | None = None
    requests: int = 0
    """Made so far: of the turn, however often it is parked."""
    seen: dict[str, tuple[str, int]] = {}
    """See Repeats."""


class Middle(NamedTuple):
    messages: list[ModelMessage]
    record: Record
    requests: int
    repeats: Repeats


def midway(middle: Middle) -> bytes:
    record = middle.record
    now = _Midway(
        conversation=msgspec.Raw(kept(middle.messages)),
        granted=sorted(record.granted),
        done=record.done,
        denied=record.denied,
        last_denied=record.last_denied,
        requests=middle.requests,
        seen=middle.repeats.seen,
    )
    return msgspec.json.encode(now)


def of_midway(data: bytes) -> Middle:
    """Raises StorageError."""
    try:
        found = msgspec.json.decode(data, type=_Midway)
    except msgspec.DecodeError as error:
        raise StorageError("the middle of the turn that was parked cannot be understood") from error
    record = Record(done=found.done, denied=found.denied, last_denied=found.last_denied, granted=set(found.granted))
    return Middle(of(bytes(found.conversation)), record, found.requests, Repeats(found.seen))


def of(data: bytes | None) -> list[ModelMessage]:
    """Raises StorageError."""
    if data is None:
        return []
    try:
        return ModelMessagesTypeAdapter.validate_json(data)
    except ValueError as error:
        raise StorageError(
            "the conversation until now cannot be understood: another version of the library has written it",
            hint="`aish rewind` goes back to where there was none",
        ) from error
