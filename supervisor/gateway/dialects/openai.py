"""OpenAI's dialect: its endpoints, what a reply says, the shape of its errors, the list of models. Pure.

How a request reads is in call.py, a stream in sse.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec

from aish.errors import (
    AishError,
    BudgetError,
    ConflictError,
    InputError,
    LimitError,
    NotFoundError,
    RefusedError,
    StorageError,
    UnavailableError,
    UpstreamError,
    UsageError,
)
from aish.model.dialect import OPENAI
from aish.supervisor.gateway.dialects import overlong
from aish.supervisor.gateway.dialects.entries import entries
from aish.supervisor.gateway.meter import Used

CHAT: Final = "/chat/completions"
COMPLETIONS: Final = "/completions"
EMBEDDINGS: Final = "/embeddings"
ENDPOINTS: Final = (CHAT, COMPLETIONS, EMBEDDINGS)
NAME: Final = OPENAI

_MANY_COLONS: Final = 50_000  # up to here a reply has so few fields that it may be split before they are counted
_MOST_FIELDS: Final = 256
MOST_TOKENS: Final = 1 << 40  # beyond any model; sums of such numbers still fit into the records

_encode: Final = msgspec.json.Encoder().encode


# --- replies ----------------------------------------------------------------------------------------------------


_Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]
_NULL: Final = msgspec.Raw(b"null")


class _Usage(msgspec.Struct):
    """What may be of any type is only a part of the rest, which it is not to spoil."""

    prompt_tokens: _Count
    completion_tokens: _Count = 0
    total_tokens: _Count | None = None
    prompt_tokens_details: Any = None
    completion_tokens_details: Any = None
    prompt_cache_hit_tokens: Any = None
    """The cached ones, by DeepSeek's name; Moonshot's is the next."""
    cached_tokens: Any = None


def within(details: object, name: str) -> int | None:
    """The figure of that name in an object of figures, None where there is none that can be."""
    return _figure(details.get(name)) if isinstance(details, dict) else None


def cached(details: object, *others: object) -> int:
    """How many tokens of the prompt were cached: in `prompt_tokens_details`, else by another name."""
    found = within(details, "cached_tokens")
    return found or next((told for told in map(_figure, others) if told), 0)


def _figure(told: object) -> int | None:
    return told if type(told) is int and 0 <= told <= MOST_TOKENS else None


class _Reply(msgspec.Struct):
    model: str | None = None
    usage: msgspec.Raw = _NULL
    choices: list[msgspec.Raw] | None = None
    data: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


class Read(msgspec.Struct, frozen=True):
    """What a reply, or one event of a stream, says of itself."""

    model: str | None
    used: Used | None
    choices: tuple[bytes, ...] | None
    failed: bool = False
    """It tells an error."""
    empty: bool = False
    """It has no answer in it."""
    stored: tuple[str, ...] = ()
    """Under which the server has stored it."""


_reply: Final = msgspec.json.Decoder(_Reply)
_objects: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_usage: Final = msgspec.json.Decoder(_Usage | None)


def read(body: bytes) -> Read:
    """Read a reply. Raises InputError when it is not a JSON object of that shape."""
    try:
        reply = _reply.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"malformed reply: {error}") from None
    choices = None if reply.choices is None else tuple(map(bytes, reply.choices))
    empty = choices is None and reply.data == _NULL
    return Read(reply.model, _used(reply.usage), choices, reply.error != _NULL, empty)


def _used(raw: msgspec.Raw) -> Used | None:
    """The server's figures; None where it tells none or nonsense."""
    try:
        usage = _usage.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if usage is None:
        return None
    output = usage.completion_tokens
    if usage.total_tokens is not None:  # some count the reasoning only in the total
        output = max(output, usage.total_tokens - usage.prompt_tokens)
    read = cached(usage.prompt_tokens_details, usage.prompt_cache_hit_tokens, usage.cached_tokens)
    made = within(usage.completion_tokens_details, "reasoning_tokens") or 0
    return Used(usage.prompt_tokens, output, cached=min(read, usage.prompt_tokens), reasoning=min(made, output))


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    function: _Function | None = None


class _Answer(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    text: str | None = None
    message: _Answer | None = None


def choice_text(choice: bytes) -> str:
    """Everything that the model wrote in one answer; '' where it cannot be read."""
    try:
        found = msgspec.json.decode(choice, type=_Choice)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ""
    answer = found.message or _Answer()
    calls = [call.function for call in answer.tool_calls or [] if call.function is not None]
    parts = [found.text, answer.reasoning_content, answer.content]
    parts += [part for function in calls for part in (function.name, function.arguments)]
    return "".join(part for part in parts if part)


def rename(told: str, asked: str, body: bytes, within: str | None = None) -> bytes:
    """Put the asked name back where the reply tells the server's own: its own field `model`, or that of the object in
    its field `within`. What is deeper may be the input of a tool and is left alone. Raises UpstreamError for a reply
    that would be many times as large as objects."""
    if within is None:
        quick = _renamed_first(told, asked, body)
        if quick is not None:
            return quick
    try:
        if body.count(b":") > _MANY_COLONS and entries(body, _MOST_FIELDS) is None:
            raise UpstreamError(f"the server of {asked} sent a reply of more than {_MOST_FIELDS} fields")
        fields = _objects.decode(body)
        if within is not None:
            inner = bytes(fields[within])
            changed = rename(told, asked, inner)
            return body if changed == inner else _encode({**fields, within: msgspec.Raw(changed)})
        own = msgspec.json.decode(fields["model"])
    except (msgspec.DecodeError, KeyError, RecursionError, UnicodeDecodeError):
        return body
    return _encode({**fields, "model": asked}) if own == told else body


def _renamed_first(told: str, asked: str, body: bytes) -> bytes | None:
    """The same without decoding, where nothing but plain fields comes before the name; None where something does.

    Inside a JSON string every quote is escaped, so the bytes `"model":` occur only as a field.
    """
    at = body.find(b'"model":')
    if at < 0 or body.count(b"{", 0, at) != 1 or body.find(b"[", 0, at) >= 0:
        return None
    start = at + len(b'"model":')
    start += body.startswith(b" ", start)
    own = _encode(told)
    if not body.startswith(own, start):
        return None
    return b"".join([body[:start], _encode(asked), body[start + len(own) :]])


# --- errors -----------------------------------------------------------------------------------------------------

# Ours -> (status, type, code). A status in the error itself goes first.
_SHAPES: Final[tuple[tuple[type[AishError], int, str, str | None], ...]] = (
    (InputError, 400, "invalid_request_error", None),
    (UsageError, 400, "invalid_request_error", None),
    (NotFoundError, 404, "invalid_request_error", "model_not_found"),
    (RefusedError, 403, "permission_error", "refused"),
    (BudgetError, 402, "insufficient_quota", "insufficient_quota"),
    (LimitError, 413, "invalid_request_error", "too_large"),
    (ConflictError, 409, "conflict_error", "conflict"),
    (UpstreamError, 502, "upstream_error", "upstream_error"),
    (UnavailableError, 503, "service_unavailable_error", "unavailable"),
    (StorageError, 503, "server_error", "storage"),
)


_BUSY: Final = {429: ("rate_limit_error", "rate_limit_exceeded"), 529: ("overloaded_error", "overloaded")}
"""What the status of a server means: (type, code)."""


def failure(error: AishError, status: int | None = None) -> tuple[int, bytes]:
    """(HTTP status, body) of an error of ours."""
    shape = next((shape for shape in _SHAPES if isinstance(error, shape[0])), None)
    known_status, kind, code = shape[1:] if shape else (500, "server_error", "internal")
    if isinstance(error, UpstreamError) and error.status is not None:
        known_status = error.status
        kind, code = _BUSY.get(error.status, (kind, code))
    if status == 401:
        kind, code = "invalid_request_error", "invalid_api_key"
    message = str(error) if error.hint is None else f"{error} ({error.hint})"
    field = error.field if isinstance(error, InputError) else None
    return status or known_status, error_body(message, kind, code, field)


def error_body(message: str, kind: str, code: str | None, param: str | None = None) -> bytes:
    return _encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


_STATUSES: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
    "server_is_overloaded": 529,
}
"""By the words of OpenAI's and Anthropic's servers."""


def error_status(body: bytes) -> int:
    """The HTTP status of an error that was told inside a stream: its code, if it is one, else what its words mean."""
    try:
        error = msgspec.json.decode(body)["error"]
        code, kind = error.get("code"), error.get("type")
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, UnicodeDecodeError, RecursionError):
        return 502
    if isinstance(code, int) and 400 <= code < 600:
        return code
    return next((_STATUSES[word] for word in (code, kind) if isinstance(word, str) and word in _STATUSES), 502)


class _Told(msgspec.Struct):
    message: str


class _ToldBody(msgspec.Struct):
    error: _Told


def told_failure(body: bytes, model: str) -> bytes:
    """An error that a server told inside a stream: as it is where clients can read it."""
    try:
        msgspec.json.decode(body, type=_ToldBody)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return upstream_failure(error_status(body), body, model)
    return body


def upstream_failure(status: int, body: bytes, model: str) -> bytes:
    """The body of a server's error, in OpenAI's shape whatever the server's own was."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = None
    if isinstance(found, list) and len(found) == 1:  # Gemini's, where it speaks this dialect
        (found,) = found
    error = found.get("error", found) if isinstance(found, dict) else None
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict):
        text = body[:300].decode(errors="replace").strip()
        error = {"message": f"the server of {model} answered {status}" + (f": {text}" if text else "")}
    message = error.get("message", error.get("detail", f"the server of {model} answered {status}"))
    kind = error.get("type")
    code = error.get("code")
    error["message"] = message if isinstance(message, str) else msgspec.json.encode(message).decode()
    if kind == "exceed_context_size_error" or overlong.is_told(status, error["message"]):
        kind, code = "invalid_request_error", overlong.CODE
    error["type"] = kind if isinstance(kind, str) else ("invalid_request_error" if status < 500 else "server_error")
    error["param"] = error.get("param")
    error["code"] = None if code is None or code == status else str(code)
    return _encode({"error": error})


# --- models -----------------------------------------------------------------------------------------------------


STORED: Final = "stored"
"""The state of a model that could be started."""


@dataclass(slots=True, frozen=True)
class Listed:
    """One line of GET /v1/models."""

    id: str
    created_s: float
    state: str
    context_tokens: int | None = None


def model_object(model: Listed) -> dict[str, object]:
    return {
        "id": model.id,
        "object": "model",
        "created": int(model.created_s),
        "owned_by": "aish",
        "context_length": model.context_tokens,
        "state": model.state,
    }


def model_list(models: list[Listed]) -> bytes:
    return _encode({"object": "list", "data": [model_object(model) for model in models]})


def model_body(model: Listed) -> bytes:
    return _encode(model_object(model))
