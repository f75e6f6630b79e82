"""The head of a Codex session's log: whose it is. Pure.

Codex writes $CODEX_HOME/sessions/YYYY/MM/DD/rollout-TIME-ID.jsonl, one JSON object a line; the first is the session's
own `session_meta`. Later ones are of the session that it was forked from: its history is copied.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

FOLDER: Final = "sessions"
MOST_HEAD_BYTES: Final = 1 << 20
"""The first line has the model's instructions in it."""


class Head(msgspec.Struct, frozen=True):
    """`parent`: the session whose sub-agent it is; `forked`: it begins with a copy of another one's history, and its
    own records have the number `own_from` and above where that is told."""

    id: str
    cwd: str = ""
    began_s: float | None = None
    parent: str | None = None
    forked: bool = False
    own_from: int | None = None


class _Line(msgspec.Struct):
    type: str
    timestamp: Any = None
    payload: dict[str, Any] = {}


_decode: Final = msgspec.json.Decoder(_Line).decode


def name(file: str) -> bool:
    """Whether a file of that name is such a log."""
    return file.startswith("rollout-") and file.endswith(".jsonl")


def head(line: bytes) -> Head | None:
    """None where the line is not the whole head of a session."""
    try:
        read = _decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return None if read.type != "session_meta" else of(read.payload, read.timestamp)


def of(payload: dict[str, Any], written: Any = None) -> Head | None:
    """The head that a `session_meta` is; `written`: the timestamp of its line."""
    id = _text(payload.get("id")) or _text(payload.get("session_id"))
    if id is None:
        return None
    source = payload.get("source")
    subagent = source.get("subagent") if isinstance(source, dict) else None
    spawn = subagent.get("thread_spawn") if isinstance(subagent, dict) else None
    parent = _text(payload.get("parent_thread_id"))
    if parent is None and isinstance(spawn, dict):
        parent = _text(spawn.get("parent_thread_id"))
    base = payload.get("history_base")
    own_from = payload.get("subagent_history_start_ordinal")
    if not isinstance(own_from, int) and isinstance(base, dict):
        own_from = base.get("end_ordinal_exclusive")
    return Head(
        id,
        cwd=_text(payload.get("cwd")) or "",
        began_s=time_s(payload.get("timestamp")) or time_s(written),
        parent=parent,
        forked=parent is not None or subagent is not None or _text(payload.get("forked_from_id")) is not None,
        own_from=own_from if isinstance(own_from, int) and not isinstance(own_from, bool) else None,
    )


def time_s(told: Any) -> float | None:
    """Seconds since the epoch of an ISO 8601 time; None for what is none."""
    if not isinstance(told, str) or len(told) > 40:
        return None
    try:
        read = datetime.fromisoformat(told)
        return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 4096 else None
