"""OpenAI's dialect: chat/completions, completions, embeddings, models, and the shape of its errors.

A request is split into its top-level fields and each field's bytes are passed on as they came: unknown fields,
number formats and the order of everything stay. Only what the gateway is about is rewritten: the model's name, the
limits of the output, and whether a stream tells its usage.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from aish.errors import (
    AishError,
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
from aish.supervisor.gateway.meter import Used

CHAT: Final = "/chat/completions"
COMPLETIONS: Final = "/completions"
EMBEDDINGS: Final = "/embeddings"
ENDPOINTS: Final = (CHAT, COMPLETIONS, EMBEDDINGS)
NAME: Final = "openai"

MAX_COPIES: Final = 128
MOST_TOKENS: Final = 1 << 40  # beyond any model; sums of such numbers still fit into the records
_PROMPT_FIELDS: Final = {
    CHAT: ("messages", "tools", "functions", "response_format", "json_schema", "chat_template_kwargs"),
    COMPLETIONS: ("prompt", "suffix"),
    EMBEDDINGS: ("input",),
}
_REQUIRED: Final = {CHAT: "messages", COMPLETIONS: "prompt", EMBEDDINGS: "input"}
# llama.cpp also takes n_predict (which wins over the others) and n_cmpl; a limit must hold whichever is used.
_LIMITS: Final[tuple[str, ...]] = ("max_completion_tokens", "max_tokens", "n_predict")
_COPIES: Final = ("n", "n_cmpl", "best_of")
_PART: Final = re.compile(rb'"(?:image_url|input_audio|file)"\s*:')

_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode: Final = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Call:
    """A request to a model, read as far as the gateway needs."""

    endpoint: str
    fields: dict[str, msgspec.Raw]
    model: str
    stream: bool
    wants_usage: bool
    """The client itself asked for the usage chunk of a stream."""
    max_output: int | None
    """Output tokens of one answer; None: not limited by the request."""
    copies: int
    """Answers in all: `n` for every prompt."""
    prompt_bytes: int
    parts: int
    """Images and sounds in the prompt."""
    tools: bool


def parse(endpoint: str, body: bytes) -> Call:
    """Read a request's body. Raises InputError with the field at fault."""
    try:
        body.decode()  # fields that only pass through are not looked into below
        fields = _fields.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(
            f"the body is not a JSON object: {error}", hint="send Content-Type: application/json"
        ) from None
    required = _REQUIRED[endpoint]
    if required not in fields:
        raise InputError(f"Missing required parameter: '{required}'.", field=required)
    prompt = [bytes(fields[name]) for name in _PROMPT_FIELDS[endpoint] if name in fields]
    options = _Fields(fields)
    stream_options = options.table("stream_options")
    copies = max(options.copies(name) for name in _COPIES)
    return Call(
        endpoint=endpoint,
        fields=fields,
        model=options.text("model"),
        stream=options.flag("stream"),
        wants_usage=stream_options.get("include_usage") is True,
        max_output=options.limit(),
        copies=copies * (_prompts(bytes(fields[required])) if endpoint == COMPLETIONS else 1),
        prompt_bytes=sum(map(len, prompt)) * (copies if endpoint == COMPLETIONS else 1),
        parts=sum(len(_PART.findall(part)) for part in prompt),
        tools="tools" in fields or "functions" in fields,
    )


class _Fields:
    """Typed reading of single fields; null counts as absent, as it does at OpenAI."""

    def __init__(self, fields: dict[str, msgspec.Raw]) -> None:
        self._fields = fields

    def _get(self, name: str) -> object:
        raw = self._fields.get(name)
        if raw is None:
            return None
        try:
            return msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise InputError(f"Invalid value for '{name}': {error}", field=name) from None

    def text(self, name: str) -> str:
        value = self._get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._wrong(name, "a string", value)
        return value

    def flag(self, name: str) -> bool:
        value = self._get(name)
        if value is None or isinstance(value, bool):
            return value is True
        raise self._wrong(name, "a boolean", value)

    def table(self, name: str) -> dict[str, object]:
        value = self._get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong(name, "an object", value)
        return value

    def _integer(self, name: str) -> int | None:
        value = self._get(name)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "an integer", value)
        return value

    def copies(self, name: str) -> int:
        value = self._integer(name)
        if value is None:
            return 1
        if not 1 <= value <= MAX_COPIES:
            raise InputError(f"Invalid '{name}': expected 1 to {MAX_COPIES}, got {value}.", field=name)
        return value

    def limit(self) -> int | None:
        """The output that the request asks for: the greatest of its limits; None if it sets none.

        llama.cpp takes a negative limit as none, and makes one token at a limit of 0.
        """
        limits = [value for value in map(self._integer, _LIMITS) if value is not None]
        if not limits or min(limits) < 0:
            return None
        return min(MOST_TOKENS, max(1, *limits))

    def _wrong(self, name: str, expected: str, value: object) -> InputError:
        got = {str: "a string", bool: "a boolean", dict: "an object", list: "an array"}.get(type(value), "a number")
        return InputError(f"Invalid type for '{name}': expected {expected}, but got {got} instead.", field=name)


def _prompts(raw: bytes) -> int:
    """How many prompts a completion asks for: an array of strings or of token arrays holds several."""
    if not raw.startswith(b"["):
        return 1
    items = msgspec.json.decode(raw, type=list[msgspec.Raw])
    if not items or bytes(items[0])[:1] not in (b'"', b"["):
        return 1
    return len(items)


def render(call: Call, upstream_name: str | None, limit: int | None, limit_field: str = "max_tokens") -> bytes:
    """The body to send upstream: the server's own name of the model, the output limit that was granted per answer.

    `limit` None leaves the request's own limits alone. A stream is always asked for its usage.
    """
    fields = dict(call.fields)
    if upstream_name is not None:
        fields["model"] = msgspec.Raw(_encode(upstream_name))
    if limit is not None:
        present = [name for name in _LIMITS if name in fields] or [limit_field]
        fields.update((name, msgspec.Raw(_encode(limit))) for name in present)
    if call.stream and not call.wants_usage and call.endpoint != EMBEDDINGS:
        raw = fields.get("stream_options")
        options = msgspec.json.decode(raw, type=dict[str, msgspec.Raw] | None) if raw is not None else None
        options = {**(options or {}), "include_usage": msgspec.Raw(b"true")}
        fields["stream_options"] = msgspec.Raw(_encode(options))
    return _encode(fields)


# --- replies ----------------------------------------------------------------------------------------------------


_Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]


class _Usage(msgspec.Struct):
    prompt_tokens: _Count
    completion_tokens: _Count = 0
    total_tokens: _Count | None = None


class _Reply(msgspec.Struct):
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    choices: list[msgspec.Raw] | None = None


@dataclass(slots=True, frozen=True)
class Read:
    """What a reply, or one event of a stream, says of itself."""

    model: str | None
    used: Used | None
    choices: tuple[bytes, ...] | None


_reply: Final = msgspec.json.Decoder(_Reply)
_usage: Final = msgspec.json.Decoder(_Usage | None)


def read(body: bytes) -> Read:
    """Read a reply. Raises InputError when it is not a JSON object of that shape."""
    try:
        reply = _reply.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"malformed reply: {error}") from None
    choices = None if reply.choices is None else tuple(map(bytes, reply.choices))
    return Read(reply.model, _used(reply.usage), choices)


def _used(raw: msgspec.Raw) -> Used | None:
    """The server's figures; None where it tells none or nonsense."""
    try:
        usage = _usage.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if usage is None:
        return None
    output = usage.completion_tokens
    if usage.total_tokens is not None:  # some count the reasoning only in the total
        output = max(output, usage.total_tokens - usage.prompt_tokens)
    return Used(usage.prompt_tokens, output)


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


def rename(told: str, asked: str, body: bytes) -> bytes:
    """Put the asked name back where the reply tells the server's own.

    Inside a JSON string every quote is escaped, so the bytes of a field `"model":"..."` occur only as a field.
    """
    for gap in (b"", b" "):
        body = body.replace(
            b'"model":' + gap + _encode(told),
            b'"model":' + gap + _encode(asked),
        )
    return body


# --- errors -----------------------------------------------------------------------------------------------------

# Ours -> (status, type, code). A status in the error itself goes first.
_SHAPES: Final[tuple[tuple[type[AishError], int, str, str | None], ...]] = (
    (InputError, 400, "invalid_request_error", None),
    (UsageError, 400, "invalid_request_error", None),
    (NotFoundError, 404, "invalid_request_error", "model_not_found"),
    (RefusedError, 403, "permission_error", "refused"),
    (LimitError, 413, "invalid_request_error", "too_large"),
    (ConflictError, 409, "conflict_error", "conflict"),
    (UpstreamError, 502, "upstream_error", "upstream_error"),
    (UnavailableError, 503, "service_unavailable_error", "unavailable"),
    (StorageError, 503, "server_error", "storage"),
)


def failure(error: AishError, status: int | None = None) -> tuple[int, bytes]:
    """(HTTP status, body) of an error of ours."""
    shape = next((shape for shape in _SHAPES if isinstance(error, shape[0])), None)
    known_status, kind, code = shape[1:] if shape else (500, "server_error", "internal")
    if isinstance(error, UpstreamError) and error.status is not None:
        known_status = error.status
    if status == 401:
        kind, code = "invalid_request_error", "invalid_api_key"
    message = str(error) if error.hint is None else f"{error} ({error.hint})"
    field = error.field if isinstance(error, InputError) else None
    return status or known_status, error_body(message, kind, code, field)


def error_body(message: str, kind: str, code: str | None, param: str | None = None) -> bytes:
    return _encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def upstream_failure(status: int, body: bytes, model: str) -> bytes:
    """The body of a server's error, in OpenAI's shape whatever the server's own was."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = None
    error = found.get("error", found) if isinstance(found, dict) else None
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict):
        text = body[:300].decode(errors="replace").strip()
        error = {"message": f"the server of {model} answered {status}" + (f": {text}" if text else "")}
    message = error.get("message", error.get("detail", f"the server of {model} answered {status}"))
    kind = error.get("type")
    code = error.get("code")
    if kind == "exceed_context_size_error":  # llama.cpp's word for what clients know by OpenAI's
        kind, code = "invalid_request_error", "context_length_exceeded"
    error["message"] = message if isinstance(message, str) else msgspec.json.encode(message).decode()
    error["type"] = kind if isinstance(kind, str) else ("invalid_request_error" if status < 500 else "server_error")
    error["param"] = error.get("param")
    error["code"] = None if code is None or code == status else str(code)
    return _encode({"error": error})


# --- models -----------------------------------------------------------------------------------------------------


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
