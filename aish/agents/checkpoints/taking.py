"""A checkpoint is taken: each part as far as it can be had, and why not where it cannot."""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from aish.agents.checkpoints import branching
from aish.agents.checkpoints import checkpoint as c
from aish.agents.checkpoints.checkpoint import Checkpoint, SnapshotPart, TranscriptPart
from aish.errors import AishError
from aish.worktree.parsing import counted, listed
from aish.worktree.snapshot import Place, Shadow, Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.agents.checkpoints.shelf import Shelf
    from aish.wire.part import TokensPart

_PIECE_BYTES = 1 << 20


class Occasion(NamedTuple):
    """Why it is taken, and what is known of the agent. `usage` None: nobody could tell. `place` None: it has no
    worktree of its own, or nobody knows which; then `no_place` says so."""

    why: str
    agent: str
    name: str
    epoch: int
    adapter: str
    keeps_conversation: bool
    keeps_newest_only: bool = False
    model: str | None = None
    usage: TokensPart | None = None
    place: Place | None = None
    no_place: str = ""
    label: str | None = None
    status: str | None = None


def take(shelf: Shelf, occasion: Occasion, keep: Sequence[int] = (), spare: int | None = None) -> Checkpoint:
    """The caller stands at the boundary by the lock `keep`; `spare` is the number of one that is to stay.

    Raises StorageError, LimitError: then there is none."""
    position = shelf.position
    missing: dict[str, str] = {}
    begun = position.turn or position.session is not None
    if position.kept is None and begun and not (occasion.keeps_conversation and position.session is None):
        missing[c.CONVERSATION] = own_conversation(occasion.adapter, position.session)
    cache = position.cache if shelf.has(position.cache) else None
    if position.turn and cache is None:
        missing[c.CACHE] = c.CACHE_GONE if position.cache is not None else position.uncached or c.CACHE_REASON
    if occasion.usage is None:
        missing[c.USAGE] = "the supervisor did not tell"
    worktree = _worktree(shelf, occasion, keep, missing)
    if occasion.keeps_newest_only and occasion.why in (c.ASKED, c.FORK):
        branching.leave(shelf, position.kept)
    return shelf.add(
        Checkpoint(
            number=0,
            agent=occasion.agent,
            name=occasion.name,
            epoch=occasion.epoch,
            why=occasion.why,
            label=occasion.label,
            turn=position.turn,
            status=occasion.status,
            taken_s=time.time(),
            adapter=occasion.adapter,
            model=occasion.model,
            transcript=_transcript(shelf, missing),
            conversation=position.kept,
            worktree=worktree,
            cache=cache,
            usage=occasion.usage,
            missing=missing,
        ),
        spare,
    )


def own_conversation(adapter: str, session: str | None) -> str:
    """Why it is not there, where aish does not keep it."""
    if session is None:
        return f"programs of the adapter {adapter} begin anew with each message, and keep what they keep themselves"
    return f"{adapter} keeps its conversations itself, and named no place in this one to branch it at"


def _transcript(shelf: Shelf, missing: dict[str, str]) -> TranscriptPart | None:
    digest, length = hashlib.sha256(), 0
    try:
        with open(shelf.transcript, "rb") as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
                length += len(piece)
    except FileNotFoundError:
        pass
    except OSError as error:
        missing[c.TRANSCRIPT] = f"it cannot be read: {error.strerror}"
        return None
    return TranscriptPart(bytes=length, sha256=digest.hexdigest())


def _worktree(shelf: Shelf, occasion: Occasion, keep: Sequence[int], missing: dict[str, str]) -> SnapshotPart | None:
    place = occasion.place
    if place is None:
        missing[c.WORKTREE] = occasion.no_place
        return None
    before = [each.worktree for each in shelf.all().values() if each.worktree is not None]
    try:
        last = snapshot_of(before[-1]) if before else None
        taken = Shadow(shelf.git, place, keep).take(shelf.refs, last)
    except AishError as error:
        missing[c.WORKTREE] = str(error)
        return None
    whys = [f"{counted(len(taken.left_out), 'path')} left out: {listed(taken.left_out)}"] if taken.left_out else []
    whys += ["what is staged is in conflict"] if taken.staged is None else []
    if whys:
        missing[c.WORKTREE] = "; ".join(whys)
    return part_of(place, taken)


def part_of(place: Place, taken: Snapshot) -> SnapshotPart:
    return SnapshotPart(**place._asdict(), **taken._asdict())


def snapshot_of(part: SnapshotPart) -> Snapshot:
    return Snapshot(**{name: getattr(part, name) for name in Snapshot._fields})


def place_in(part: SnapshotPart) -> Place:
    return Place(part.folder, part.git_dir, part.common, part.home)


def known_place(shelf: Shelf) -> Place | None:
    """As it was noted before the agent had done anything."""
    found = [each.worktree for each in shelf.all().values() if each.worktree is not None]
    place = place_in(found[-1]) if found else None
    return place if place is not None and os.path.isdir(place.folder) else None
