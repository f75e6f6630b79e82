"""What a checkpoint holds, and what it says it does not. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from aish.wire.part import Part, SlotPart, TokensPart

TRANSCRIPT: Final = "transcript"
CONVERSATION: Final = "conversation"
WORKTREE: Final = "worktree"
CACHE: Final = "cache"
USAGE: Final = "usage"
PARTS: Final = (TRANSCRIPT, CONVERSATION, WORKTREE, CACHE, USAGE)

BEGUN: Final = "begun"
TURN: Final = "turn"
ASKED: Final = "asked"
REWIND: Final = "rewind"
FORK: Final = "fork"
"""Why it was made: before the first turn, after each one, by `aish checkpoint`, before going back, for a fork."""

CACHE_REASON: Final = "nobody has asked for it after that turn"
CACHE_GONE: Final = "its file went, for newer ones or by hand: the model reads the conversation once more"


class TranscriptPart(Part, frozen=True, kw_only=True):
    """So far it went."""

    bytes: int
    sha256: str


class SnapshotPart(Part, frozen=True, kw_only=True):
    """See aish.worktree.snapshot: where the working tree is, and the commit of what was in it."""

    folder: str
    git_dir: str
    common: str
    home: str
    commit: str
    tree: str
    staged: str | None = None
    head: str
    branch: str | None = None
    left_out: list[str] = []


class Checkpoint(Part, frozen=True, kw_only=True):
    """`number` counts those of its agent from 1: people call the third of p4 p4.3. `missing`: which of PARTS are not
    in it, or not whole, and why.

    `conversation` names what aish keeps of it; None: there was none yet, unless it is missing."""

    number: int
    agent: str
    name: str
    epoch: int
    why: str
    label: str | None = None
    parent: int | None = None
    """The one before it in the same line of turns."""
    turn: int
    """How many turns the conversation had."""
    status: str | None = None
    """How the last of them has ended."""
    taken_s: float
    adapter: str = ""
    model: str | None = None
    transcript: TranscriptPart | None = None
    conversation: str | None = None
    worktree: SnapshotPart | None = None
    cache: SlotPart | None = None
    """What its model's server had of the conversation: see aish.config.slots."""
    usage: TokensPart | None = None
    """All that the agent had used by then, by the gateway's figures."""
    missing: dict[str, str] = {}

    @property
    def id(self) -> str:
        return f"{self.agent}.{self.number}"

    @property
    def exact(self) -> bool:
        """All of it was captured."""
        return not self.missing


class Position(Part, frozen=True, kw_only=True):
    """Where an agent's conversation stands. `session` is what its program calls it, `kept` what aish keeps of it,
    `cache` what its model's server had of that; None: `uncached` says why."""

    session: str | None = None
    kept: str | None = None
    cache: SlotPart | None = None
    uncached: str = ""
    turn: int = 0
    at: int | None = None
    """The checkpoint that it goes on from."""
    last: int = 0
    """The highest number that was ever given."""


class Intent(Part, frozen=True, kw_only=True):
    """A going back that is under way: from the moment in which this is written it comes to its end, whoever dies."""

    to: int
    saved: int
    """What was there before."""
    transcript_bytes: int
    """As long it was: if it is longer by now, it says so already."""


_checkpoint: Final = msgspec.json.Decoder(Checkpoint)
_position: Final = msgspec.json.Decoder(Position)
_intent: Final = msgspec.json.Decoder(Intent)


def encoded(value: Checkpoint | Position | Intent) -> bytes:
    return msgspec.json.encode(value)


def checkpoint(data: bytes) -> Checkpoint:
    """Raises ValueError."""
    return _checkpoint.decode(data)


def position(data: bytes) -> Position:
    """Raises ValueError."""
    return _position.decode(data)


def intent(data: bytes) -> Intent:
    """Raises ValueError."""
    return _intent.decode(data)


def numbered(new: Checkpoint, number: int, parent: int | None) -> Checkpoint:
    return msgspec.structs.replace(new, number=number, parent=parent)


def without_conversation(whole: Checkpoint, why: str) -> Checkpoint:
    return msgspec.structs.replace(whole, conversation=None, missing={**whole.missing, CONVERSATION: why})


def without_cache(whole: Checkpoint) -> Checkpoint:
    return msgspec.structs.replace(whole, cache=None, missing={**whole.missing, CACHE: CACHE_GONE})


def going_on(position: Position, kept: str | None, cache: SlotPart | None = None, uncached: str = "") -> Position:
    """With that conversation."""
    return msgspec.structs.replace(position, kept=kept, cache=cache, uncached=uncached)


def at(position: Position, reached: Checkpoint) -> Position:
    """Standing there, as before."""
    return msgspec.structs.replace(position, at=reached.number, last=max(position.last, reached.number))


def parted(word: str) -> tuple[str, int] | None:
    """The agent's id and the number that p4.3 is; None: it is none. Pure."""
    agent, dot, number = word.removeprefix("@").rpartition(".")
    if not dot or not (number.isascii() and number.isdigit() and len(number) < 10):
        return None
    is_id = agent[:1] == "p" and agent[1:].isascii() and agent[1:].isdigit()
    return (agent, int(number)) if is_id else None


def turns_back(all_: dict[int, Checkpoint], at: int | None, turn: int, turns: int) -> Checkpoint | None:
    """The newest one in the line that leads to `at` which is that many turns before `turn`; None: nothing is kept of
    it."""
    wanted = turn - turns
    seen: set[int] = set()
    while at is not None and at in all_ and at not in seen:
        seen.add(at)
        if all_[at].turn <= wanted:
            return all_[at] if all_[at].turn == wanted else None
        at = all_[at].parent
    return None
