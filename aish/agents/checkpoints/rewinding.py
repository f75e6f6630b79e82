"""An agent goes back to a checkpoint. What is to happen is written down before anything does: whoever dies, the next
who stands at its boundary brings it to its end.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec import structs

from aish.agents.checkpoints import checkpoint as c
from aish.agents.checkpoints.checkpoint import Intent
from aish.agents.checkpoints.taking import place_in, snapshot_of, take
from aish.agents.transcript import Transcript
from aish.errors import ConflictError
from aish.worktree.snapshot import Shadow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.agents.checkpoints.checkpoint import Checkpoint
    from aish.agents.checkpoints.shelf import Shelf
    from aish.agents.checkpoints.taking import Occasion


def check(wanted: Checkpoint) -> None:
    """Whether one can go on from there. Raises ConflictError."""
    if c.CONVERSATION in wanted.missing:
        raise ConflictError(
            f"{wanted.id} has no conversation to go on with: {wanted.missing[c.CONVERSATION]}",
            hint=f"`aish checkpoint show {wanted.id}` says what it has",
        )


def rewind(shelf: Shelf, wanted: Checkpoint, occasion: Occasion, keep: Sequence[int]) -> Checkpoint:
    """What was there before, as a checkpoint. The caller stands at the boundary, with nothing begun by others.

    Raises ConflictError (there is nothing to go on with; something is in the way); then nothing has changed."""
    check(wanted)
    if wanted.conversation is not None:
        shelf.conversation(wanted.conversation)  # it is there, and whole
    before = take(shelf, occasion, keep, wanted.number)
    if wanted.worktree is not None:
        if before.worktree is None:
            raise ConflictError(
                f"what is in the worktree now could not be kept: {before.missing.get(c.WORKTREE)}",
                hint="mend that first: else it would be lost",
            )
        shadow = Shadow(shelf.git, place_in(before.worktree), keep)
        shadow.check(snapshot_of(wanted.worktree), snapshot_of(before.worktree))
    shelf.intend(Intent(to=wanted.number, saved=before.number, transcript_bytes=_size(shelf.transcript)))
    finish(shelf, keep)
    return before


def finish(shelf: Shelf, keep: Sequence[int]) -> Checkpoint | None:
    """Bring to its end what was begun; where it has gone back to. The caller stands at the boundary. Raises
    AishError, and the next one goes on with it."""
    intent = shelf.intent
    if intent is None:
        return None
    there = shelf.all()
    wanted = there.get(intent.to)
    if wanted is None:
        shelf.done()  # somebody has taken it away by hand: nothing can be gone back to
        return None
    if wanted.worktree is not None:
        Shadow(shelf.git, place_in(wanted.worktree), keep).lay(snapshot_of(wanted.worktree))
    if _size(shelf.transcript) <= intent.transcript_bytes:
        transcript = Transcript(shelf.transcript)
        title = f"back at {wanted.id}, turn {wanted.turn}; what was there is {wanted.agent}.{intent.saved}"
        transcript.write("rewound", title=title, id=wanted.id, turn=wanted.turn)
        transcript.close()
        if transcript.failure is not None:
            raise transcript.failure
    position = structs.replace(shelf.position, session=None, turn=wanted.turn)
    position = c.going_on(position, wanted.conversation, wanted.cache, wanted.missing.get(c.CACHE, ""))
    shelf.stand(c.at(position, wanted))
    shelf.done()
    return wanted


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
