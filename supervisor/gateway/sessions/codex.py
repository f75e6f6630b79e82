"""What a Codex session used, from its log, line by line. Pure; `aish.agents.rollout` tells whose log it is.

    event_msg token_count   info: total_token_usage (of the session), last_token_usage (of one answer), or null;
                            rate_limits: primary and secondary, or null
    token_usage_record      usage of one answer, by its response_id; newer versions write it, beside token_count
    turn_context            the model from here on

Public readers of these logs found what goes wrong (ccusage #988, steipete/CodexBar #3524, openai/codex #14880,
getagentseal/codeburn #1383):

- the same token_count is written again: the total has not moved, and nothing was used;
- after a resume the total goes on in some versions, and begins anew in others;
- the log of a fork or a sub-agent begins with a copy of its parent's, with the times of then or all with that of the
  copying; its own first answer comes more than a second after the copies, which are written in one burst;
- `cached` is part of the input and `reasoning` of the output; sums of both count them twice.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from aish.agents import rollout
from aish.supervisor.gateway.meter import Used
from aish.supervisor.gateway.windows.headers import by_slot
from aish.supervisor.gateway.windows.ledger import Sighting

MOST_TOKENS: Final = 1 << 40
COPIES_S: Final = 1.0
"""Lines that follow each other faster are of one burst."""
_MOST_SEEN: Final = 256
_MAIN: Final = "codex"
"""The limit that is the subscription's; others are of single models."""


class Spent(msgspec.Struct, frozen=True):
    """One answer of a model."""

    at_s: float
    model: str
    used: Used


class Limits(msgspec.Struct, frozen=True):
    """What the vendor told of the usage windows."""

    at_s: float
    windows: tuple[Sighting, ...]


class Tokens(msgspec.Struct, frozen=True):
    """As the log has them: input with what was read from a cache and written to it, output with what was reasoned."""

    input: int = 0
    cached: int = 0
    written: int = 0
    output: int = 0
    reasoning: int = 0

    def __sub__(self, other: Tokens) -> Tokens:
        fields = self.__struct_fields__
        return Tokens(*(max(0, getattr(self, name) - getattr(other, name)) for name in fields))

    def follows(self, other: Tokens) -> bool:
        """Whether it can be a later total of the same count."""
        return self.input >= other.input and self.output >= other.output

    @property
    def used(self) -> Used:
        return Used(
            self.input,
            self.output,
            cached=min(self.cached, self.input),
            written=min(self.written, self.input),
            reasoning=min(self.reasoning, self.output),
        )


NOTHING: Final = Tokens()


class State(msgspec.Struct):
    """Where the reading of a log is; all that the next line needs. Kept between runs of the gateway."""

    from_s: float
    """What is older was there before: it is not counted."""
    head: rollout.Head | None = None
    model: str = ""
    total: Tokens | None = None
    """The last one told."""
    recorded: bool = False
    """A token_usage_record counted an answer whose token_count has not come."""
    counted: Tokens | None = None
    """What a token_count counted whose token_usage_record may yet come."""
    seen: list[str] = []
    """Answers that were counted lately."""
    copying: bool = False
    at_s: float = 0.0
    """When the last line was written."""
    malformed: int = 0


class _Line(msgspec.Struct):
    type: str
    timestamp: Any = None
    ordinal: Any = None
    payload: msgspec.Raw = msgspec.Raw(b"{}")


_decode: Final = msgspec.json.Decoder(_Line).decode
_payload: Final = msgspec.json.Decoder(dict[str, Any]).decode
_READ: Final = frozenset(("session_meta", "turn_context", "event_msg", "token_usage_record"))
_ERRORS: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def feed(state: State, line: bytes) -> list[Spent | Limits]:
    """Take in one whole line; returns what it tells that is new. Changes `state`. Raises nothing."""
    if not line.strip():
        return []
    try:
        read = _decode(line)
        at_s = rollout.time_s(read.timestamp)
        own = _own(state, read.ordinal, state.at_s if at_s is None else at_s)
        if read.type not in _READ or (read.type == "event_msg" and b"token_count" not in bytes(read.payload)):
            return []
        payload = _payload(read.payload)
    except _ERRORS:
        state.malformed += 1
        return []
    match read.type:
        case "session_meta":
            _begin(state, payload, read.timestamp)
        case "turn_context":
            model = payload.get("model")
            if isinstance(model, str) and model and len(model) <= 200:
                state.model = model
        case "token_usage_record":
            return _record(state, payload, own=own)
        case "event_msg" if payload.get("type") == "token_count":
            return [
                *_limits(state, payload.get("rate_limits"), own=own),
                *_count(state, payload.get("info"), own=own),
            ]
        case _:
            pass
    return []


def _begin(state: State, payload: dict[str, Any], written: Any) -> None:
    """The first head is the session's own."""
    if state.head is None:
        state.head = rollout.of(payload, written)
        state.copying = state.head is not None and state.head.forked


def _own(state: State, ordinal: Any, at_s: float) -> bool:
    """Whether a line was written by this session, since it is observed."""
    before_s, state.at_s = state.at_s, at_s
    head = state.head
    if head is not None and head.own_from is not None and isinstance(ordinal, int):
        state.copying = ordinal < head.own_from
    elif state.copying:
        began_s = (head.began_s if head is not None else None) or 0.0
        # Those with the times of then are older than the session.
        if at_s >= began_s - COPIES_S and at_s - max(before_s, began_s) >= COPIES_S:
            state.copying = False
    return not state.copying and at_s >= state.from_s


def _record(state: State, payload: dict[str, Any], *, own: bool) -> list[Spent | Limits]:
    """The usage of one answer, told by itself."""
    tokens, id = _tokens(payload.get("usage")), payload.get("response_id")
    thread = payload.get("thread_id")
    if tokens is None or (isinstance(thread, str) and state.head is not None and thread != state.head.id):
        return []
    if isinstance(id, str):
        if id in state.seen:
            return []
        state.seen = [*state.seen[-_MOST_SEEN:], id[:200]]
    if not own:
        return []
    if state.counted == tokens:
        state.counted = None
        return []
    state.recorded = True
    return _spent(state, tokens)


def _count(state: State, info: Any, *, own: bool) -> list[Spent | Limits]:
    """What was used since the token_count before."""
    if not isinstance(info, dict):
        return []
    total, last = _tokens(info.get("total_token_usage")), _tokens(info.get("last_token_usage"))
    before, state.total = state.total, total or state.total
    if total is None:
        used = last
    elif before is None:
        used = last or total
    elif total == before:
        used = None  # told again
    else:
        used = total - before if total.follows(before) else last or total
    if not own or used is None or used == NOTHING:
        return []
    if state.recorded:
        state.recorded = False
        return []
    state.counted = used
    return _spent(state, used)


def _spent(state: State, tokens: Tokens) -> list[Spent | Limits]:
    return [] if tokens == NOTHING else [Spent(state.at_s, state.model, tokens.used)]


def _tokens(told: Any) -> Tokens | None:
    if not isinstance(told, dict):
        return None
    names = ("input_tokens", "cached_input_tokens", "cache_write_input_tokens", "output_tokens")
    values = [told.get(name, 0) for name in (*names, "reasoning_output_tokens")]
    if any(isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MOST_TOKENS for value in values):
        return None
    return Tokens(*values)


def _limits(state: State, told: Any, *, own: bool) -> list[Spent | Limits]:
    if not own or not isinstance(told, dict):
        return []
    limit = told.get("limit_id")
    family = limit[:24] if isinstance(limit, str) and limit != _MAIN else ""
    found = []
    for slot in ("primary", "secondary"):
        window = told.get(slot)
        if isinstance(window, dict):
            found.append(
                by_slot(
                    slot,
                    family,
                    percent=window.get("used_percent"),
                    minutes=window.get("window_minutes"),
                    resets_s=window.get("resets_at"),
                    after_s=window.get("resets_in_seconds"),
                    now_s=state.at_s,
                )
            )
    windows = tuple(each for each in found if each is not None)
    return [Limits(state.at_s, windows)] if windows else []
