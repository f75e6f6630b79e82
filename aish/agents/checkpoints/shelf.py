"""What lies beside an agent's transcript: its checkpoints, the conversations that they name, where it stands.

position.json        where the conversation stands
conversations/ID     a conversation as the adapter wrote it, named by its digest: one that is there never changes
slots/SHA256         KV slots that they name, as the gateway keeps them (aish.config.slots)
checkpoints/N.json   the checkpoints
rewind.json          a going back that is under way
midway.json          the middle of the turn that is under way (aish.agents.checkpoints.midway)
git/                 the git folder by which snapshots are made (aish.worktree.snapshot)
gate, turn           locks (aish.agents.checkpoints.boundary)

All is written beside its name and renamed, 0600 in a folder that only its user enters.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, Final, TypeVar

from aish.agents.checkpoints import checkpoint as c
from aish.agents.checkpoints import midway
from aish.agents.checkpoints.boundary import Boundary
from aish.agents.checkpoints.checkpoint import Checkpoint, Intent, Position
from aish.agents.checkpoints.midway import Midway
from aish.config import private_file, slots
from aish.errors import LimitError, NotFoundError, StorageError
from aish.worktree import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from aish.wire.part import SlotPart

RECENT_MOST: Final = 50
"""Checkpoints that nobody has asked for: the oldest of these go."""
ASKED_MOST: Final = 100
CONVERSATION_BYTES: Final = 64 << 20
_RECORD_BYTES: Final = 1 << 20
_MIDWAY_BYTES: Final = 2 * CONVERSATION_BYTES
T = TypeVar("T", Checkpoint, Position, Intent, Midway)


class Shelf:
    """Of one agent: `folder` is state/agents/EPOCH-ID."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.transcript = os.path.join(folder, "transcript.jsonl")
        self.boundary = Boundary(folder)

    @property
    def git(self) -> str:
        return os.path.join(self.folder, "git")

    @property
    def refs(self) -> str:
        """Where its snapshots are kept in a repository: several state folders may have agents in one."""
        return refs_below(os.path.dirname(self.folder)) + "/" + os.path.basename(self.folder)

    # --- where it stands ----------------------------------------------------------------------------------------

    @property
    def position(self) -> Position:
        """Raises StorageError."""
        return _read(os.path.join(self.folder, "position.json"), c.position) or Position()

    @property
    def has_begun(self) -> bool:
        return os.path.exists(os.path.join(self.folder, "position.json"))

    def stand(self, position: Position) -> None:
        """Raises StorageError."""
        _write(os.path.join(self.folder, "position.json"), c.encoded(position))

    @property
    def intent(self) -> Intent | None:
        return _read(os.path.join(self.folder, "rewind.json"), c.intent)

    def intend(self, intent: Intent) -> None:
        _write(os.path.join(self.folder, "rewind.json"), c.encoded(intent))

    def done(self) -> None:
        _unlink(os.path.join(self.folder, "rewind.json"))

    # --- the middle of a turn -----------------------------------------------------------------------------------

    @property
    def midway(self) -> Midway | None:
        """None: there is none, or it is of no use: then the turn begins with its beginning."""
        try:
            return _read(os.path.join(self.folder, "midway.json"), midway.decoded, _MIDWAY_BYTES)
        except StorageError:
            return None

    def keep_midway(self, now: Midway) -> None:
        """Raises StorageError, LimitError."""
        data = midway.encoded(now)
        if len(data) > _MIDWAY_BYTES:
            raise LimitError("the conversation is too long to be kept in the middle of a turn")
        _write(os.path.join(self.folder, "midway.json"), data)

    def end_midway(self) -> None:
        """Raises StorageError."""
        _unlink(os.path.join(self.folder, "midway.json"))

    # --- conversations ------------------------------------------------------------------------------------------

    def keep(self, conversation: bytes) -> str:
        """Its name. Raises StorageError, LimitError."""
        if len(conversation) > CONVERSATION_BYTES:
            raise LimitError(f"the conversation is longer than {CONVERSATION_BYTES >> 20} MiB: it is not kept")
        name = hashlib.sha256(conversation).hexdigest()[:32]
        path = os.path.join(self.folder, "conversations", name)
        if not os.path.exists(path):
            _write(path, conversation)
        return name

    def conversation(self, name: str) -> bytes:
        """Raises StorageError where it is gone, or is not what it was."""
        path = os.path.join(self.folder, "conversations", os.path.basename(name))
        try:
            with open(path, "rb") as file:
                data = file.read(CONVERSATION_BYTES + 1)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        if hashlib.sha256(data).hexdigest()[:32] != name:
            raise StorageError(f"{path} is damaged", hint="go back to another checkpoint: `aish checkpoint ls`")
        return data

    def has(self, slot: SlotPart | None) -> bool:
        """Whether it is there, so far as one is named."""
        return slot is None or slots.there(self.folder, slot.sha256, slot.bytes)

    # --- checkpoints --------------------------------------------------------------------------------------------

    def all(self) -> dict[int, Checkpoint]:
        """By number, oldest first; what cannot be read is left out, a KV slot whose file has gone is missing. Raises
        StorageError."""
        folder = os.path.join(self.folder, "checkpoints")
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StorageError(f"{folder}: {error.strerror}") from error
        found = {}
        for name in names:
            if name.endswith(".json"):
                with contextlib.suppress(StorageError):  # damaged: it is none any more
                    each = _read(os.path.join(folder, name), c.checkpoint)
                    if each is not None and name == f"{each.number}.json":
                        found[each.number] = each if self.has(each.cache) else c.without_cache(each)
        return dict(sorted(found.items()))

    def get(self, number: int, agent: str) -> Checkpoint:
        """Raises NotFoundError."""
        found = self.all().get(number)
        if found is None:
            hint = f"`aish checkpoint ls {agent}` lists those that there are"
            raise NotFoundError(f"there is no checkpoint {agent}.{number}", hint=hint)
        return found

    def add(self, new: Checkpoint, spare: int | None = None) -> Checkpoint:
        """With its number and the one before it; the agent stands there from now on. For it the oldest ones go that
        nobody has asked for, but not `spare`. Raises StorageError, LimitError."""
        there, position = self.all(), self.position
        asked = [each for each in there.values() if each.why == c.ASKED]
        if new.why == c.ASKED and len(asked) >= ASKED_MOST:
            raise LimitError(
                f"{new.name} has {ASKED_MOST} checkpoints already", hint="`aish checkpoint rm` drops some"
            )
        number = max(position.last, *there, 0) + 1
        new = c.numbered(new, number, position.at if position.at in there else None)
        _write(os.path.join(self.folder, "checkpoints", f"{number}.json"), c.encoded(new))
        self.stand(c.at(position, new))
        recent = [each.number for each in there.values() if each.why != c.ASKED]
        over = max(0, len(recent) + 1 - RECENT_MOST)
        oldest = [each for each in recent[:over] if each not in (spare, position.at)]
        if oldest:
            self.drop(oldest)
        return new

    def lose(self, conversation: str, why: str) -> None:
        """No checkpoint has it any more. The caller stands at the boundary. Raises StorageError."""
        for number, each in self.all().items():
            if each.conversation == conversation:
                path = os.path.join(self.folder, "checkpoints", f"{number}.json")
                _write(path, c.encoded(c.without_conversation(each, why)))

    def drop(self, numbers: Iterable[int]) -> None:
        """And what only they have named. The caller stands at the boundary. Raises AishError."""
        gone = set(numbers)
        before = self.all()
        for number in gone:
            _unlink(os.path.join(self.folder, "checkpoints", f"{number}.json"))
        kept = [each for number, each in before.items() if number not in gone]
        position = self.position
        _sweep(os.path.join(self.folder, "conversations"), {each.conversation for each in kept} | {position.kept})
        named = [*(each.cache for each in kept), position.cache]
        _sweep(slots.kept(self.folder), {slot.sha256 for slot in named if slot is not None})
        commits = {each.worktree.commit for each in kept if each.worktree is not None}
        places = {each.worktree.common for each in before.values() if each.worktree is not None}
        for common in places:
            if os.path.isdir(common):
                refs = snapshot.refs_of(common, self.refs)
                snapshot.drop(common, [ref for ref in refs if ref.rpartition("/")[2] not in commits])


def _sweep(folder: str, named: Collection[str | None]) -> None:
    if os.path.isdir(folder):
        for name in os.listdir(folder):
            if name not in named:
                _unlink(os.path.join(folder, name))


def refs_below(agents: str) -> str:
    """Of all agents whose folders are there."""
    mark = hashlib.sha256(os.fsencode(os.path.realpath(agents))).hexdigest()[:8]
    return f"{snapshot.REFS}/{mark}"


def sweep_forgotten(common: str, agents: str) -> None:
    """What is kept in a repository for agents that are forgotten. Raises AishError."""
    below = refs_below(agents)
    refs = snapshot.refs_of(common, below)
    owners = {ref: ref.removeprefix(below + "/").partition("/")[0] for ref in refs}
    snapshot.drop(common, [ref for ref, owner in owners.items() if not os.path.isdir(os.path.join(agents, owner))])


def _read(path: str, decode: Callable[[bytes], T], most_bytes: int = _RECORD_BYTES) -> T | None:
    """None: there is none. Raises StorageError."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:
            return decode(file.read(most_bytes))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        hint = "it was written by another version, or is damaged: remove it"
        raise StorageError(f"{path} cannot be understood", hint=hint) from error


def _write(path: str, data: bytes) -> None:
    """Whole or not at all, also when the machine goes down. Raises StorageError."""
    try:
        for above in (os.path.dirname(os.path.dirname(path)), os.path.dirname(path)):
            os.makedirs(above, mode=0o700, exist_ok=True)  # the mode is the last folder's only
        private_file.replace(path, data, draft=f"{path}.{os.getpid()}.new", lasting=True)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error


def _unlink(path: str) -> None:
    """Raises StorageError."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
