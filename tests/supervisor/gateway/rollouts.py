"""Lines of Codex's session logs, in the shapes that its versions write."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

BEGAN_S = 1_790_000_000.0


def line(at_s: float, type: str, payload: dict[str, Any], ordinal: int | None = None) -> bytes:
    stamp = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record: dict[str, Any] = {"timestamp": stamp, "type": type, "payload": payload}
    if ordinal is not None:
        record["ordinal"] = ordinal
    return json.dumps(record).encode() + b"\n"


def meta(at_s: float = BEGAN_S, id: str = "s1", cwd: str = "/w", **more: Any) -> bytes:
    stamp = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
    return line(at_s, "session_meta", {"id": id, "timestamp": stamp, "cwd": cwd, "cli_version": "0.155.1", **more})


def context(at_s: float = BEGAN_S, model: str = "gpt-6") -> bytes:
    return line(at_s, "turn_context", {"model": model, "cwd": "/w"})


def tokens(input: int, output: int, cached: int = 0, reasoning: int = 0) -> dict[str, int]:
    return {
        "input_tokens": input,
        "cached_input_tokens": cached,
        "output_tokens": output,
        "reasoning_output_tokens": reasoning,
        "total_tokens": input + output,
    }


def count(
    at_s: float,
    total: dict[str, int] | None,
    last: dict[str, int] | None,
    limits: dict[str, Any] | None = None,
    ordinal: int | None = None,
) -> bytes:
    info: dict[str, Any] | None = {"model_context_window": 258400}
    if total is None and last is None:
        info = None
    elif info is not None:
        info |= {} if total is None else {"total_token_usage": total}
        info |= {} if last is None else {"last_token_usage": last}
    return line(at_s, "event_msg", {"type": "token_count", "info": info, "rate_limits": limits}, ordinal)


def record(at_s: float, response: str, usage: dict[str, int], thread: str = "s1") -> bytes:
    payload = {"response_id": response, "thread_id": thread, "usage": usage, "thread_token_usage": usage}
    return line(at_s, "token_usage_record", payload)


def limits(percent: float, minutes: int = 300, in_s: float = 3600.0) -> dict[str, Any]:
    return {
        "limit_id": "codex",
        "primary": {"used_percent": percent, "window_minutes": minutes, "resets_in_seconds": in_s},
        "secondary": None,
        "credits": None,
    }
