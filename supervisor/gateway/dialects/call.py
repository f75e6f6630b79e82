"""A request in OpenAI's dialect: read as far as the gateway needs, and written anew for a server. Pure.

A request is split into its top-level fields and each field's bytes are passed on as they came: unknown fields,
number formats and the order of everything stay. Only what the gateway is about is rewritten: the model's name, the
limits of the output, whether the answer is a stream, and whether a stream tells its usage.

Reading takes a bounded multiple of the body's size, whatever is in it.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from aish.errors import InputError
from aish.supervisor.gateway.dialects import text
from aish.supervisor.gateway.dialects.entries import entries
from aish.supervisor.gateway.dialects.openai import CHAT, COMPLETIONS, EMBEDDINGS, MOST_TOKENS, NAME
from aish.supervisor.gateway.dialects.worked import FIELD

MAX_NAME_CHARS: Final = 200
MAX_COPIES: Final = 128
MAX_PROMPTS: Final = 2048
"""Prompts of a completion, texts to embed: OpenAI's own bound."""
MAX_PARTS: Final = 4096
MAX_FIELDS: Final = 256
MAX_VALUE_BYTES: Final = 4096
"""Of a field that is looked into."""
_MANY_COLONS: Final = 50_000  # up to here a body has so few fields that it may be split before they are counted
_MANY_OBJECTS: Final = 100_000
_MANY_QUOTES: Final = 1_000_000
_PROMPT_FIELDS: Final = {
    CHAT: ("messages", "tools", "functions", "response_format", "json_schema", "chat_template_kwargs"),
    COMPLETIONS: ("prompt", "suffix"),
    EMBEDDINGS: ("input",),
}
_REQUIRED: Final = {CHAT: "messages", COMPLETIONS: "prompt", EMBEDDINGS: "input"}
# llama.cpp also takes n_predict (which wins over the others) and n_cmpl; a limit must hold whichever is used.
NEWER_LIMIT: Final = "max_completion_tokens"
OLDER_LIMIT: Final = "max_tokens"
_LIMITS: Final[tuple[str, ...]] = (NEWER_LIMIT, OLDER_LIMIT, "n_predict")
_COPIES: Final = ("n", "n_cmpl", "best_of")
_PART: Final = re.compile(rb'"(?:image_url|input_audio|file)"\s*:')
_NAMED: Final = "images, sounds and files"
_STRING, _BOOLEAN, _NUMBER, _OBJECT, _ARRAY = "a string", "a boolean", "a number", "an object", "an array"
_KINDS: Final = {ord('"'): _STRING, ord("t"): _BOOLEAN, ord("f"): _BOOLEAN, ord("{"): _OBJECT, ord("["): _ARRAY}
_NULL: Final = ord("n")
_SPACE: Final = b" \t\r\n"
_NOTHING: Final = re.compile(rb"[ \t\r\n]*\[[ \t\r\n]*\]")
TRUE: Final = msgspec.Raw(b"true")

_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode: Final = msgspec.json.Encoder().encode


class Call(msgspec.Struct):
    """A request to a model, read as far as the gateway needs."""

    endpoint: str
    fields: dict[str, msgspec.Raw]
    model: str
    stream: bool
    wants_usage: bool
    """The client itself asked for the usage chunk of a stream."""
    max_output: int | None
    """Output tokens of one answer; None: not limited by the request."""
    prompts: int
    """Prompts of a completion, texts to embed; else 1."""
    copies: int
    """Answers in all: `n` for every prompt."""
    prompt_bytes: int
    parts: int
    """Images and sounds in the prompt."""
    tools: bool
    dialect: str = NAME
    """That its fields are of."""
    goes_on: tuple[str, ...] = ()
    """What its server has stored and reads before it: ids of a response, a conversation."""
    left_out: tuple[str, ...] = ()
    """What its server cannot do, and was left out where it was translated."""

    def renamed(self, model: str) -> Call:
        """The same, of another model."""
        fields = {**self.fields, "model": msgspec.Raw(_encode(model))}
        return msgspec.structs.replace(self, model=model, fields=fields)

    @property
    def asked(self) -> msgspec.Raw:
        """The field that says what is wanted: messages, prompt or input."""
        return self.fields[_REQUIRED[self.endpoint]]


def parse(endpoint: str, body: bytes) -> Call:
    """Read a request's body. Raises InputError with the field at fault."""
    fields = split(body)
    required = _REQUIRED[endpoint]
    if required not in fields:
        raise InputError(f"Missing required parameter: '{required}'.", field=required)
    prompt = [memoryview(fields[name]) for name in _PROMPT_FIELDS[endpoint] if name in fields]
    options = Fields(fields)
    copies = 1
    for name in _COPIES:
        if name in fields:
            copies = max(copies, options.copies(name))
    prompts = 1 if endpoint == CHAT else _prompts(required, memoryview(fields[required]))
    call = Call(
        endpoint=endpoint,
        fields=fields,
        model=checked_name(options.text("model")),
        stream="stream" in fields and options.flag("stream") and endpoint != EMBEDDINGS,
        wants_usage="stream_options" in fields and options.table("stream_options").get("include_usage") is True,
        max_output=options.limit(),
        prompts=prompts,
        copies=1 if endpoint == EMBEDDINGS else copies * prompts,
        prompt_bytes=sum(map(len, prompt)) * (copies if endpoint == COMPLETIONS else 1),
        parts=count_parts(prompt, _PART, _NAMED),
        tools="tools" in fields or "functions" in fields,
    )
    if _NOTHING.match(memoryview(fields[required])[:MAX_VALUE_BYTES]):
        raise InputError(f"Invalid '{required}': at least one.", field=required)  # llama.cpp would make up an answer
    return call


def checked_name(model: str) -> str:
    """The name of a model, which is told and recorded. Raises InputError."""
    if len(model) > MAX_NAME_CHARS:
        raise InputError(f"Invalid 'model': a name has at most {MAX_NAME_CHARS} characters.", field="model")
    return model


def split(body: bytes) -> dict[str, msgspec.Raw]:
    """The top-level fields, as they came. Raises InputError."""
    if body.count(b":") > _MANY_COLONS and entries(body, MAX_FIELDS) is None:
        raise _too_many_fields()
    try:
        text.check(body)  # fields that only pass through are not looked into
        fields = _fields.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(
            f"the body is not a JSON object: {error}", hint="send Content-Type: application/json"
        ) from None
    if len(fields) > MAX_FIELDS:
        raise _too_many_fields()
    return fields


class AnyObject(msgspec.Struct):
    """Any JSON object: looked through, and nothing of it made."""


def check_room(body: bytes) -> None:
    """Raises InputError for a body that would be many times as large as objects. What is decoded into known types
    takes some hundred bytes for each object, array and string in it."""
    if body.count(b"{") + body.count(b"[") <= _MANY_OBJECTS and body.count(b'"') <= _MANY_QUOTES:
        return  # text may have as many: only then it is worth a real look
    if entries(body, MAX_FIELDS) is None:
        raise _too_many_fields()


def _too_many_fields() -> InputError:
    return InputError(f"the body has more than {MAX_FIELDS} fields, or more inside than can be looked at")


class Fields:
    """Typed reading of single fields; null counts as absent, as it does at OpenAI.

    The wrong type is refused by its first byte, and what is too long before it is decoded.
    """

    def __init__(self, fields: dict[str, msgspec.Raw]) -> None:
        self._fields = fields

    def _get(self, name: str, kind: str, expected: str | None = None) -> object:
        raw = self._fields.get(name)
        if raw is None:
            return None
        data = memoryview(raw)
        if data[0] == _NULL:  # nothing else begins with it
            return None
        got = _KINDS.get(data[0], _NUMBER)
        if got != kind:
            raise _wrong(name, expected or kind, got)
        if len(data) > MAX_VALUE_BYTES:
            raise InputError(f"Invalid value for '{name}': more than {MAX_VALUE_BYTES} bytes.", field=name)
        try:
            return msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise InputError(f"Invalid value for '{name}': {error}", field=name) from None

    def text(self, name: str) -> str:
        value = self._get(name, _STRING)
        return value if isinstance(value, str) else ""

    def flag(self, name: str) -> bool:
        return self._get(name, _BOOLEAN) is True

    def table(self, name: str) -> dict[str, object]:
        value = self._get(name, _OBJECT)
        return value if isinstance(value, dict) else {}

    def integer(self, name: str) -> int | None:
        value = self._get(name, _NUMBER, "an integer")
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if value is not None and not isinstance(value, int):
            raise _wrong(name, "an integer", _NUMBER)
        return value

    def copies(self, name: str) -> int:
        value = self.integer(name)
        if value is None:
            return 1
        if not 1 <= value <= MAX_COPIES:
            raise InputError(f"Invalid '{name}': expected 1 to {MAX_COPIES}, got {value}.", field=name)
        return value

    def _limit(self, name: str) -> int | None:
        value = self.integer(name)
        if value is not None and value > MOST_TOKENS:
            raise InputError(f"Invalid '{name}': at most {MOST_TOKENS} tokens.", field=name)
        return value

    def limit(self) -> int | None:
        """The output that the request asks for: the greatest of its limits; None if it sets none.

        llama.cpp takes a negative limit as none, and makes one token at a limit of 0.
        """
        most: int | None = None
        unlimited = False
        for name in _LIMITS:
            value = self._limit(name) if name in self._fields else None
            if value is not None:
                unlimited = unlimited or value < 0
                most = max(most or 1, value)
        return None if unlimited else most


def _wrong(name: str, expected: str, got: str) -> InputError:
    return InputError(f"Invalid type for '{name}': expected {expected}, but got {got} instead.", field=name)


def _prompts(name: str, raw: memoryview) -> int:
    """How many prompts or texts: an array of strings, of token arrays or of objects holds several. Raises
    InputError."""
    if raw[0] != ord("["):
        return 1
    count = entries(raw, MAX_PROMPTS)
    if count is None:
        raise InputError(f"Invalid '{name}': at most {MAX_PROMPTS} entries.", field=name)
    first = next((byte for byte in raw[1:] if byte not in _SPACE), None)
    return max(1, count) if first in _KINDS and _KINDS[first] != _BOOLEAN else 1  # of numbers: one prompt, in tokens


def count_parts(prompt: list[memoryview], pattern: re.Pattern[bytes], named: str) -> int:
    """What is no text, as `pattern` finds it; some too many, for its words may stand in a text. Raises InputError."""
    count = 0
    for field in prompt:
        for _ in pattern.finditer(field):
            count += 1
            if count > MAX_PARTS:
                raise InputError(f"the request has more than {MAX_PARTS} {named}")
    return count


def render(
    call: Call,
    upstream_name: str | None,
    limit: int | None,
    limit_field: str = OLDER_LIMIT,
    *,
    as_stream: bool = False,
    translated: bool = False,
) -> bytes:
    """The body to send upstream: the server's own name of the model, the output limit that was granted per answer.

    `limit` None leaves the request's own limits alone. A stream is always asked for its usage. `as_stream`: one is
    asked for whether the client wants it or not, with figures in every event (see assemble.py and worked.py).
    `translated`: it was made here from another dialect, so its limit may go by the name that the server knows.
    """
    fields = dict(call.fields)
    if upstream_name is not None:
        fields["model"] = msgspec.Raw(_encode(upstream_name))
    if limit_field == NEWER_LIMIT:
        fields.pop(
            "top_k", None
        )  # Anthropic's clients may ask for it, and OpenAI's own servers refuse what they lack
        if translated and call.endpoint == CHAT and OLDER_LIMIT in fields:
            fields[NEWER_LIMIT] = fields.pop(OLDER_LIMIT)  # their newer models refuse the older name
    if limit is not None:
        own = limit_field if call.endpoint == CHAT else OLDER_LIMIT  # completions never got the newer name
        present = [name for name in _LIMITS if name in fields] or [own]
        fields.update((name, msgspec.Raw(_encode(limit))) for name in present)
    if as_stream:
        fields["stream"] = fields[FIELD] = TRUE
    if (call.stream or as_stream) and not call.wants_usage and call.endpoint != EMBEDDINGS:
        raw = fields.get("stream_options")
        options = msgspec.json.decode(raw, type=dict[str, msgspec.Raw] | None) if raw is not None else None
        fields["stream_options"] = msgspec.Raw(_encode({**(options or {}), "include_usage": TRUE}))
    return _encode(fields)
