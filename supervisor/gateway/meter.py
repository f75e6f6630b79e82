"""Metering, pure: what a request used, and what processes and models are doing right now.

The server's own figures count. Where a request ended without them (the client hung up, the stream was cut, the server
does not tell), the figures are estimated and say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from aish.model import state

BYTES_PER_TOKEN: Final = 4  # English text through current tokenizers; only for estimates, never for a bound
LIKELY_TOKENS_PER_S: Final = 50.0
"""Of a server that has not been seen to answer yet; only for estimates."""
UNSTATED_OUTPUT_TOKENS: Final = (
    4096  # reserved where neither the request nor the model says how long an answer may be
)
TEMPLATE_TOKENS: Final = 512  # a chat template's own words: a default system prompt, role marks, the date
PART_TOKENS: Final = 4096  # an image or a sound given by reference: more tokens than its address has bytes


class Used(msgspec.Struct, frozen=True):
    """Tokens of one request. What was read from or written to a cache is part of the input, what was reasoned of the
    output, and what was written for an hour, which costs more, of what was written."""

    input: int
    output: int
    estimated: bool = False
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    written_1h: int = 0
    searches: int = 0
    """How often the vendor looked in the web for it: paid for apart from tokens."""


def prompt_bound(prompt_bytes: int, parts: int = 0) -> int:
    """More tokens than the prompt can have: a token covers at least one byte, save what a template adds."""
    return prompt_bytes + TEMPLATE_TOKENS + parts * PART_TOKENS


def estimate_prompt(prompt_bytes: int) -> int:
    """A likely number of tokens in a prompt whose server did not say."""
    return -(-prompt_bytes // BYTES_PER_TOKEN)


@dataclass(slots=True)
class Stream:
    """Counts a stream while it passes, for the case that it ends before its usage is told."""

    events: int = 0
    """Events with a part of an answer."""
    text_bytes: int = 0

    def count(self, text_bytes: int) -> None:
        """One event with so much text."""
        self.events += 1
        self.text_bytes += text_bytes

    def estimate(self) -> int:
        """Tokens that were streamed: an event is at least one, and a long event holds several."""
        return max(self.events, self.text_bytes // BYTES_PER_TOKEN)


class Live(msgspec.Struct):
    """A request that is going on."""

    number: int
    process: str
    model: str
    model_id: str | None = None
    """The model's process, once it is known which one serves."""
    why: str = ""
    """What it waits for; empty once it was sent."""
    note: str = ""
    """What the person who waits should know of that."""
    sent: bool = False
    answering: bool = False
    """The server began to answer."""
    tokens: int = 0
    seen_tokens: int = 0
    """`tokens` at the last look, for the rate."""


@dataclass(slots=True, frozen=True)
class Note:
    """What ps shows of a process: see aish.wire.link.ActivityNote."""

    id: str
    activity: str | None
    doing: str | None = None
    tokens_per_s: float | None = None


@dataclass(slots=True)
class Board:
    """Who is doing what, from the requests that are going on."""

    live: dict[int, Live] = field(default_factory=dict)
    _told: dict[str, Note] = field(default_factory=dict)
    _models: set[str] = field(default_factory=set)
    _looked_s: float | None = None

    def begin(self, number: int, process: str, model: str) -> Live:
        entry = self.live[number] = Live(number, process, model)
        return entry

    def end(self, number: int) -> None:
        self.live.pop(number, None)

    def doing(self, process: str) -> str:
        """Its requests under way, and what the oldest that waits does wait for; '' without any."""
        own = [entry for entry in self.live.values() if entry.process == process]
        sent = sum(entry.sent for entry in own)
        why = next((entry.why for entry in own if not entry.sent and entry.why), "")
        return ", ".join(filter(None, (_requests(sent) if sent else "", why)))

    def forget(self, id: str) -> None:
        """The process is gone: nothing more is told about it."""
        self._told.pop(id, None)
        self._models.discard(id)

    def clear(self) -> None:
        """The listener is a new one, and knows nothing of what was told."""
        self._told.clear()

    def look(
        self, now_s: float, slots: Mapping[str, int | None], waiting: Mapping[str, int] | None = None
    ) -> list[Note]:
        """Notes that differ from what was told before. `slots`: ready models -> requests they serve at a time;
        `waiting`: how many wait for their turn there."""
        self._models.update(slots)
        span_s = None if self._looked_s is None else now_s - self._looked_s
        self._looked_s = now_s
        notes: dict[str, Note] = {}
        busy: dict[str, int] = {}
        rates: dict[str, float] = {}
        for entry in self.live.values():  # oldest first: they have the slots
            rate = (entry.tokens - entry.seen_tokens) / span_s if span_s else 0.0
            entry.seen_tokens = entry.tokens
            activity, doing = self._place(entry, busy, slots)
            for id in (entry.process, entry.model_id):
                if id is not None:
                    rates[id] = rates.get(id, 0.0) + rate
            known = notes.get(entry.process)
            if known is None or (known.activity != state.GENERATING and activity == state.GENERATING):
                notes[entry.process] = Note(entry.process, activity, doing)
        for id, note in list(notes.items()):
            if note.activity == state.GENERATING:
                notes[id] = Note(id, note.activity, note.doing, _rounded(rates.get(id)))
        for id in slots:
            if id in busy:
                doing = _requests(busy[id]) + (f", {waiting[id]} wait" if waiting and id in waiting else "")
                notes[id] = Note(id, state.GENERATING, doing, _rounded(rates.get(id)))
            else:
                notes[id] = Note(id, state.LOADED)
        return self._changes(notes)

    def _place(self, entry: Live, busy: dict[str, int], slots: Mapping[str, int | None]) -> tuple[str, str]:
        if not entry.sent:
            return state.WAITING, entry.why
        if entry.model_id is not None:
            room = slots.get(entry.model_id)
            if not entry.answering and room is not None and busy.get(entry.model_id, 0) >= room:
                return state.WAITING, f"waits for {entry.model}"
            busy[entry.model_id] = busy.get(entry.model_id, 0) + 1
        return state.GENERATING, f"{entry.model}: {entry.tokens} tokens" if entry.tokens else entry.model

    def _changes(self, notes: dict[str, Note]) -> list[Note]:
        for id in self._told:
            if id not in notes:
                # A model that is not ready any more has no activity; a process without a request is idle.
                notes[id] = Note(id, None if id in self._models else state.IDLE)
        changed = [note for note in notes.values() if self._told.get(note.id) != note]
        self._told.update((note.id, note) for note in changed)
        return changed


def _rounded(rate: float | None) -> float | None:
    return round(rate, 1) if rate else None


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"
