"""A conversation as its host keeps it from one turn to the next: bytes, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_ai.messages import ModelMessagesTypeAdapter

from aish.errors import StorageError

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage


def kept(messages: list[ModelMessage]) -> bytes:
    return ModelMessagesTypeAdapter.dump_json(messages)


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
