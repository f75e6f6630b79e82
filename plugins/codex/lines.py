"""What the lines of `codex app-server` tell: JSON-RPC without its version, a message a line. Pure.

response     the answer to a request of ours
request      what it asks us, answered under its id: approvals, questions
notification item/started, item/completed: texts, thoughts, commands, changes; error; turn/completed: the end

What is malformed or unknown tells nothing. `thread` is the conversation's id: sub-agents have their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

Fields = dict[str, Any]
MOST_CHARS: Final = 200
API_KEY: Final = "apiKey"
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Answered:
    id: str | int
    result: Fields
    error: str | None


@dataclass(frozen=True, slots=True)
class Asks:
    id: str | int
    method: str
    params: Fields


@dataclass(frozen=True, slots=True)
class Settled:
    """A request of its own is none any more."""

    id: str | int


@dataclass(frozen=True, slots=True)
class Began:
    thread: str
    turn: str


@dataclass(frozen=True, slots=True)
class Said:
    """`final`: it says so itself; it does not always say."""

    thread: str
    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class Thought:
    text: str


@dataclass(frozen=True, slots=True)
class Used:
    id: str
    tool: str
    about: str
    diff: str = ""


@dataclass(frozen=True, slots=True)
class Returned:
    id: str
    text: str
    status: str


@dataclass(frozen=True, slots=True)
class Warned:
    text: str


@dataclass(frozen=True, slots=True)
class Over:
    """`failure` is None where the turn is done."""

    thread: str
    failure: str | None = None
    why: str = ""
    """In its own word, such as usageLimitExceeded."""
    status: int | None = None

    @property
    def spent(self) -> bool:
        return self.why in _SPENT or self.status == 402


_SPENT: Final = ("usageLimitExceeded", "sessionBudgetExceeded")
Told = Answered | Asks | Settled | Began | Said | Thought | Used | Returned | Warned | Over


def read(line: str) -> Told | None:
    """Raises nothing."""
    try:
        fields = _decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    match fields:
        case {"method": str(method), "id": str() | int() as id}:
            return Asks(id, method, _fields(fields.get("params")))
        case {"method": str(method)}:
            return _notified(method, _fields(fields.get("params")))
        case {"id": str() | int() as id, "error": error}:
            return Answered(id, {}, _message(error))
        case {"id": str() | int() as id, "result": result}:
            return Answered(id, _fields(result), None)
        case _:
            return None


def _fields(value: object) -> Fields:
    return value if isinstance(value, dict) else {}


def _notified(method: str, params: Fields) -> Told | None:
    thread = str(params.get("threadId") or "")
    match method, params:
        case "turn/started", {"turn": {"id": str(turn)}}:
            return Began(thread, turn)
        case "item/started", {"item": {"type": str(), "id": str()} as item}:
            return _started(item)
        case "item/completed", {"item": {"type": str(), "id": str()} as item}:
            return _completed(thread, item)
        case "error", {"error": error, "willRetry": True}:
            return Warned(f"the model is asked again: {_message(error)}")
        case "configWarning" | "deprecationNotice", {"summary": str(text)}:
            return Warned(text)
        case "serverRequest/resolved", {"requestId": str() | int() as id}:
            return Settled(id)
        case "turn/completed", {"turn": {} as turn}:
            return _over(thread, turn)
        case _:
            return None


def _started(item: Fields) -> Told | None:
    id = item["id"]
    match item:
        case {"type": "commandExecution"}:
            return Used(id, "shell", one_line(command(item)))
        case {"type": "fileChange"}:
            return Used(id, "patch", one_line(", ".join(_paths(item))), diff(item))
        case {"type": "mcpToolCall", "tool": str(tool)}:
            return Used(id, f"{item.get('server')}.{tool}", one_line(str(item.get("arguments") or "")))
        case {"type": "webSearch"}:
            return Used(id, "search", one_line(str(item.get("query") or "")))
        case {"type": "collabAgentToolCall", "tool": str(tool)}:
            return Used(id, tool, one_line(str(item.get("prompt") or "")))
        case {"type": "dynamicToolCall", "tool": str(tool)}:
            return Used(id, tool, "")
        case _:
            return None


_TOOLS: Final = (
    *("commandExecution", "fileChange", "mcpToolCall", "webSearch", "collabAgentToolCall", "dynamicToolCall"),
)


def _completed(thread: str, item: Fields) -> Told | None:
    match item:
        case {"type": "agentMessage", "text": str(text)}:
            return Said(thread, text, item.get("phase") == "final_answer")
        case {"type": "reasoning"}:
            texts = [*_texts(item.get("summary")), *_texts(item.get("content"))]
            return Thought("\n".join(texts)) if texts else None
        case {"type": kind} if kind in _TOOLS:
            return Returned(item["id"], str(item.get("aggregatedOutput") or ""), str(item.get("status") or ""))
        case _:
            return None


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def command(item: Fields) -> str:
    """As it was meant: what stands in its shell's `-lc`."""
    match item.get("commandActions"):
        case [{"command": str(meant)}]:
            return meant
        case _:
            said = item.get("command")
            return said if isinstance(said, str) else ""


def _paths(item: Fields) -> list[str]:
    changes = item.get("changes")
    return [str(each.get("path")) for each in changes if isinstance(each, dict)] if isinstance(changes, list) else []


def diff(item: Fields) -> str:
    changes = item.get("changes")
    found = [each for each in changes if isinstance(each, dict)] if isinstance(changes, list) else []
    return "\n".join(_diff(each) for each in found)


def _diff(change: Fields) -> str:
    """Of a new file it tells the text alone, and of one that goes."""
    path, text = str(change.get("path")), str(change.get("diff") or "")
    kind = _fields(change.get("kind")).get("type")
    mark = {"add": "+", "delete": "-"}.get(str(kind))
    if mark is None or text.startswith(("---", "@@")):
        return f"--- {path}\n+++ {path}\n{text.removesuffix(chr(10))}"
    lines = [f"{mark}{line}" for line in text.splitlines()]
    old, new = ("/dev/null", path) if mark == "+" else (path, "/dev/null")
    return "\n".join([f"--- {old}", f"+++ {new}", *lines])


def one_line(text: str) -> str:
    return " ".join(text.split())[:MOST_CHARS]


def _message(error: object) -> str:
    """A server's words may stand in it as JSON."""
    said = _fields(error).get("message")
    text = said if isinstance(said, str) and said.strip() else "it does not say why"
    try:
        inner = _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text
    for found in (_fields(inner.get("error")).get("message"), inner.get("message"), inner.get("detail")):
        if isinstance(found, str) and found.strip():
            return found
    return text


def _over(thread: str, turn: Fields) -> Over:
    match turn.get("status"):
        case "completed":
            return Over(thread)
        case "failed":
            error = _fields(turn.get("error"))
            info = error.get("codexErrorInfo")
            why, more = next(iter(info.items()), ("", None)) if isinstance(info, dict) else (info, None)
            status = _fields(more).get("httpStatusCode")
            return Over(thread, _message(error), str(why or ""), status if isinstance(status, int) else None)
        case status:
            return Over(thread, f"the turn was {status}")


def account(result: Fields) -> str | None:
    """Which kind of login it has, by its answer to account/read: API_KEY, "chatgpt" …; None: none."""
    match result:
        case {"account": {"type": str(kind)}}:
            return kind
        case _:
            return None
