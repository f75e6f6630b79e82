"""What the lines of Claude Code's stdout tell (`--output-format stream-json`). Pure.

system       init: the session; api_retry: it asks a model again
assistant    text, thoughts and tools of a message, one line for each of its blocks
user         what tools returned
control_request, control_cancel_request, control_response   what it asks us, does not want to know any more, answers
result       the end of the turn: the answer, or why there is none

What is malformed or unknown tells nothing. Helpers' lines (parent_tool_use_id) tell of tools alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

Fields = dict[str, Any]
MOST_CHARS: Final = 200
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_ABOUT: Final = ("command", "file_path", "notebook_path", "pattern", "url", "query", "description", "skill", "prompt")
"""Of a tool's input: what says most of what it does, the first that is there."""
_BUDGET: Final = 402


@dataclass(frozen=True, slots=True)
class Began:
    session: str


@dataclass(frozen=True, slots=True)
class At:
    """So far the conversation has come: what it calls its last message."""

    message: str


@dataclass(frozen=True, slots=True)
class Said:
    """Text of a message; whether it is the answer shows by what follows."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    text: str


@dataclass(frozen=True, slots=True)
class Used:
    id: str
    tool: str
    about: str


@dataclass(frozen=True, slots=True)
class Returned:
    id: str
    text: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Again:
    """It asks a model once more."""

    why: str


@dataclass(frozen=True, slots=True)
class Wants:
    """A question of its own, `kind` such as can_use_tool."""

    id: str
    kind: str
    request: Fields


@dataclass(frozen=True, slots=True)
class Withdrew:
    id: str


@dataclass(frozen=True, slots=True)
class Answered:
    id: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Over:
    """`failure` is None where `text` is the answer."""

    text: str
    failure: str | None = None
    status: int | None = None
    """What the model's server answered with, where that was why."""

    @property
    def spent(self) -> bool:
        return self.status == _BUDGET


Told = Began | At | Said | Thought | Used | Returned | Again | Wants | Withdrew | Answered | Over


def read(line: str) -> list[Told]:
    """Raises nothing."""
    try:
        fields = _decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return []
    match fields:
        case {"type": "system", "subtype": "init", "session_id": str(session)}:
            return [Began(session)]
        case {"type": "system", "subtype": "api_retry"}:
            return [Again(_why(fields))]
        case {"type": "assistant", "message": {"content": [*blocks], **message}}:
            own = fields.get("parent_tool_use_id") is None and message.get("model") != "<synthetic>"
            return [*_at(fields), *(told for block in blocks if (told := _block(block, own=own)) is not None)]
        case {"type": "user", "message": {"content": [*blocks]}}:
            return [*_at(fields), *(told for block in blocks if (told := _returned(block)) is not None)]
        case {"type": "user", "message": _} | {"type": "system", "subtype": "compact_boundary"}:
            return _at(fields)
        case {"type": "control_request", "request_id": str(id), "request": {"subtype": str(kind)}}:
            return [Wants(id, kind, fields["request"])]
        case {"type": "control_cancel_request", "request_id": str(id)}:
            return [Withdrew(id)]
        case {"type": "control_response", "response": {"request_id": str(id), **response}}:
            error = response.get("error")
            return [Answered(id, str(error or "refused") if response.get("subtype") == "error" else None)]
        case {"type": "result"}:
            return [_over(fields)]
        case _:
            return []


def _at(fields: Fields) -> list[Told]:
    """Helpers have conversations of their own."""
    match fields:
        case {"uuid": str(message)} if fields.get("parent_tool_use_id") is None:
            return [At(message)]
        case _:
            return []


def _block(block: Any, *, own: bool) -> Told | None:
    match block:
        case {"type": "text", "text": str(text)} if own:
            return Said(text)
        case {"type": "thinking", "thinking": str(text)} if own and text.strip():
            return Thought(text)
        case {"type": "tool_use", "id": str(id), "name": str(tool)}:
            return Used(id, tool, about(block.get("input")))
        case _:
            return None


def _returned(block: Any) -> Told | None:
    match block:
        case {"type": "tool_result", "tool_use_id": str(id)}:
            return Returned(id, _text(block.get("content")), bool(block.get("is_error")))
        case _:
            return None


def _text(content: object) -> str:
    match content:
        case str():
            return content
        case list():
            return "\n".join(part["text"] for part in content if isinstance(part, dict) and _is_text(part))
        case _:
            return ""


def _is_text(part: Fields) -> bool:
    return isinstance(part.get("text"), str)


def about(given: object) -> str:
    """A tool's input in a few words, of one line."""
    if not isinstance(given, dict):
        return ""
    said = [given[name] for name in _ABOUT if isinstance(given.get(name), str)]
    said += [value for value in given.values() if isinstance(value, str)]
    return " ".join(said[0].split())[:MOST_CHARS] if said else ""


def _why(fields: Fields) -> str:
    status, error = fields.get("error_status"), fields.get("error")
    said = [str(status)] if isinstance(status, int) else []
    return " ".join([*said, error.replace("_", " ")] if isinstance(error, str) else said) or "it failed"


def _over(fields: Fields) -> Over:
    text = fields.get("result")
    text = text if isinstance(text, str) else ""
    subtype = fields.get("subtype")
    if subtype == "success" and not fields.get("is_error"):
        return Over(text)
    status = fields.get("api_error_status")
    errors = fields.get("errors")
    said = [each for each in errors if isinstance(each, str)] if isinstance(errors, list) else []
    failure = text or "; ".join(said) or _FAILURES.get(str(subtype)) or f"it ended with {subtype}"
    return Over(text, failure, status if isinstance(status, int) else None)


_FAILURES: Final = {
    "error_max_turns": "it has used up its turns",
    "error_max_budget_usd": "its own limit of money is used up",
    "error_during_execution": "it failed in the middle of its turn",
    "error_max_structured_output_retries": "no answer had the form that was asked for",
}
