"""The KV slot of a conversation: used before a turn, kept after one.

It is what the model's server had of it. The gateway does both; what does not succeed makes a turn slower, and changes
nothing of it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aish.agents.checkpoints import checkpoint as c
from aish.agents.checkpoints.asking import within
from aish.client import connect
from aish.config import slots
from aish.errors import AishError
from aish.wire.message import SlotKeep, SlotUse
from aish.wire.reply import Done, SlotKept

if TYPE_CHECKING:
    from aish.agents.checkpoints.checkpoint import Checkpoint, Position
    from aish.agents.checkpoints.shelf import Shelf

PATIENCE_S = 5.0
"""Longer than the gateway's own."""


def use(position: Position) -> str:
    """The turn that is to begin goes on from there. Why not; '' where it does, or has nothing to go on with."""
    if position.cache is None:
        return ""
    try:
        with connect(start=False, program="agent", patience_s=PATIENCE_S) as client:
            done = within(client, SlotUse(slot=position.cache), Done, PATIENCE_S)
    except AishError as error:
        return f"{error.message}: the conversation is read once more"
    return "" if done is not None else "the supervisor did not answer: the conversation is read once more"


def kept(*, alone: bool) -> SlotKept:
    """After a turn that is done; `alone`: see SlotKeep."""
    try:
        with connect(start=False, program="agent", patience_s=PATIENCE_S) as client:
            return within(client, SlotKeep(alone=alone), SlotKept, PATIENCE_S) or SlotKept(why=_SILENT)
    except AishError as error:
        return SlotKept(why=error.message)


_SILENT = "the supervisor did not answer"


def take_along(source: Shelf, wanted: Checkpoint, shelf: Shelf, position: Position) -> Position:
    """What was kept of another agent's conversation is this one's, too: a second name of the same file."""
    slot, why = wanted.cache, wanted.missing.get(c.CACHE, "")
    if slot is not None:
        try:
            os.makedirs(slots.kept(shelf.folder), mode=0o700, exist_ok=True)
            os.link(slots.path(source.folder, slot.sha256), slots.path(shelf.folder, slot.sha256))
        except FileExistsError:
            pass  # from before a kill
        except OSError as error:
            slot, why = None, f"the file of its KV slot: {error.strerror}"
    return c.going_on(position, position.kept, slot, why)
