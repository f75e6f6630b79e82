"""A place in a conversation that its program keeps itself: what an adapter gives to `Host.keep` in place of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import StorageError
from aish.wire.part import Part

if TYPE_CHECKING:
    from aish.spi.agent_adapter import Host, Task


class Bookmark(Part, frozen=True, kw_only=True):
    """`session` and `at` in the program's own words. `at` None: its end, for who branches nowhere else."""

    session: str
    at: str | None = None


_decode: Final = msgspec.json.Decoder(Bookmark).decode


def put(host: Host, session: str, at: str | None = None) -> None:
    host.keep(msgspec.json.encode(Bookmark(session=session, at=at)))


def branch(task: Task, host: Host) -> Bookmark | None:
    """Where this turn's conversation is to be branched; None: it is a new one, or one that is gone on with. Raises
    StorageError."""
    if task.session is not None or host.conversation is None:
        return None
    try:
        return _decode(host.conversation)
    except (msgspec.DecodeError, UnicodeError) as error:
        hint = "it was kept by another adapter, or another version: `aish checkpoint ls` has older ones"
        raise StorageError("what is kept of the conversation is no place in one", hint=hint) from error
