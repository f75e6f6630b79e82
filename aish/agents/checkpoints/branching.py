"""Conversations of programs that branch them at their end alone: what is kept of one is good until somebody goes on
with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from aish.agents.checkpoints import checkpoint as c

if TYPE_CHECKING:
    from aish.agents.checkpoints.shelf import Shelf


def leave(shelf: Shelf, conversation: str | None) -> None:
    """Nothing more is said in it: if the agent stands there, its next turn goes on with a branch, as all others do.
    The caller stands at the boundary. Raises StorageError."""
    position = shelf.position
    if conversation is not None and position.kept == conversation and position.session is not None:
        shelf.stand(structs.replace(position, session=None))


def move_on(shelf: Shelf, adapter: str) -> None:
    """A turn is to begin. Where it goes on with the same session, nobody can branch what was kept of that any more.
    The caller stands at the boundary. Raises StorageError."""
    position = shelf.position
    if position.kept is not None and position.session is not None:
        why = f"{adapter} branches a conversation at its end alone, and has gone on with this one since"
        shelf.lose(position.kept, why)
        shelf.stand(c.going_on(position, None))
