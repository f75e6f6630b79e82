"""What an agent tells while it works (session/update), field by field: what is missing, or of another kind than the
protocol says, is as good as not said. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAN_CHARS: Final = 200


@dataclass(slots=True, frozen=True)
class Text:
    """A piece of the answer."""

    piece: str


@dataclass(slots=True, frozen=True)
class Thought:
    piece: str


@dataclass(slots=True, frozen=True)
class Tool:
    """Something of a call of a tool; `begins`: it is a new one."""

    fields: Mapping[str, Any]
    begins: bool


@dataclass(slots=True, frozen=True)
class Plan:
    line: str


@dataclass(slots=True, frozen=True)
class Usage:
    """Of the context: tokens in it, and what fits."""

    used: int | None
    size: int | None
    cost: float | None
    currency: str | None


Update = Text | Thought | Tool | Plan | Usage


def read(update: object) -> Update | None:
    """None: nothing that is told here."""
    if not isinstance(update, dict):
        return None
    match update.get("sessionUpdate"):
        case "agent_message_chunk":
            piece = content(update.get("content"))
            return Text(piece) if piece else None
        case "agent_thought_chunk":
            piece = content(update.get("content"))
            return Thought(piece) if piece else None
        case "tool_call" | "tool_call_update" as kind:
            return Tool(update, kind == "tool_call")
        case "plan":
            line = plan(update.get("entries"))
            return Plan(line) if line else None
        case "usage_update":
            return _usage(update)
        case _:
            return None


def content(block: object) -> str:
    """The text of a block of content; a link is its address, a picture nothing."""
    match block:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "resource", "resource": {"text": str(text)}}:
            return text
        case {"type": "resource_link", "uri": str(uri)}:
            return uri
        case _:
            return ""


def plan(entries: object) -> str:
    """Where it stands, in one line: `plan 2/3: write the tests`; an empty one for none."""
    found = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    if not found:
        return ""
    done = sum(entry.get("status") == "completed" for entry in found)
    now = next((entry for entry in found if entry.get("status") == "in_progress"), None) or next(
        (entry for entry in found if entry.get("status") != "completed"), None
    )
    line = f"plan {done}/{len(found)}"
    return line if now is None else f"{line}: {one_line(str(now.get('content', '')))[:PLAN_CHARS]}"


def _usage(update: Mapping[str, Any]) -> Usage | None:
    used, size, cost = count(update.get("used")), count(update.get("size")), update.get("cost")
    amount = cost.get("amount") if isinstance(cost, dict) else None
    currency = cost.get("currency") if isinstance(cost, dict) else None
    if used is None and size is None:
        return None
    return Usage(
        used,
        size,
        float(amount) if isinstance(amount, int | float) and not isinstance(amount, bool) else None,
        currency if isinstance(currency, str) else None,
    )


def count(value: object) -> int | None:
    """A number of tokens, where it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None


def one_line(text: str) -> str:
    return " ".join(text.split())


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
