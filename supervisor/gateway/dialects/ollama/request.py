"""Ollama's requests as OpenAI's. Pure.

    /api/chat        a chat; images, tools, format, think
    /api/generate    a chat of one message (with `system`), or a completion if `raw`
    /api/embed       embeddings; /api/embeddings is its earlier form, for one text
    options          num_predict, temperature, top_p, top_k, min_p, seed, stop and penalties; the rest is the server's

Calls of tools have no ids in this dialect: they get some by their order, and results are matched by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from aish.errors import InputError
from aish.supervisor.gateway.dialects import call as calls
from aish.supervisor.gateway.dialects import openai, text

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call

CHAT: Final = "/api/chat"
GENERATE: Final = "/api/generate"
EMBED: Final = "/api/embed"
EMBEDDINGS: Final = "/api/embeddings"
_NONE: Final = msgspec.Raw(b"null")
_SAME: Final = ("temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty", "stop")
_IMAGES: Final = {"iVBORw0KGgo": "png", "/9j/": "jpeg", "R0lGOD": "gif", "UklGR": "webp"}
"""How pictures begin in base64."""

_T = TypeVar("_T")
_encode: Final = msgspec.json.Encoder().encode


class Called(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


class ToolCall(msgspec.Struct):
    function: Called


class Message(msgspec.Struct):
    role: str
    content: str | None = None
    images: list[str] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str | None = None


class Options(msgspec.Struct):
    num_predict: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    stop: str | list[str] | None = None


class _Asked(msgspec.Struct):
    model: str = ""
    stream: bool | None = None
    format: msgspec.Raw = _NONE
    options: Options | None = None


class _Chat(_Asked):
    messages: list[Message] = []
    tools: msgspec.Raw = _NONE


class _Generate(_Asked):
    prompt: str = ""
    system: str | None = None
    images: list[str] | None = None
    raw: bool | None = None
    suffix: str | None = None
    template: str | None = None
    context: msgspec.Raw = _NONE


class _Embed(msgspec.Struct):
    model: str = ""
    input: str | list[str] = ""
    dimensions: int | None = None


class _Embedding(msgspec.Struct):
    model: str = ""
    prompt: str = ""


_chat: Final = msgspec.json.Decoder(_Chat)
_generate: Final = msgspec.json.Decoder(_Generate)
_embed: Final = msgspec.json.Decoder(_Embed)
_embedding: Final = msgspec.json.Decoder(_Embedding)


def chat(body: bytes) -> Call:
    """Raises InputError."""
    asked = _read(_chat, body)
    if not asked.messages:
        raise InputError("messages: at least one", field="messages")
    fields = _common(asked) | {"messages": _messages(asked.messages)}
    if asked.tools not in (_NONE, msgspec.Raw(b"[]")):
        fields["tools"] = asked.tools
    return calls.parse(openai.CHAT, _encode(fields))


def generate(body: bytes) -> Call:
    """Raises InputError."""
    asked = _read(_generate, body)
    if asked.suffix or asked.template:
        raise InputError("suffix and template cannot be translated for this model's server", field="template")
    if asked.context not in (_NONE, msgspec.Raw(b"[]")):
        raise InputError("context: nothing is kept here; /api/chat takes the whole conversation", field="context")
    if not asked.prompt:
        raise InputError("prompt: it is empty; a model is started by its first request", field="prompt")
    if asked.raw:
        return calls.parse(openai.COMPLETIONS, _encode(_common(asked) | {"prompt": asked.prompt}))
    said: list[dict[str, object]] = [{"role": "system", "content": asked.system}] if asked.system else []
    said.append(_message(Message("user", asked.prompt, asked.images), _Calls()))
    return calls.parse(openai.CHAT, _encode(_common(asked) | {"messages": said}))


def embed(body: bytes) -> Call:
    """Raises InputError."""
    asked = _read(_embed, body)
    fields: dict[str, object] = {"model": asked.model, "input": asked.input, "encoding_format": "float"}
    if asked.dimensions is not None:
        fields["dimensions"] = asked.dimensions
    return calls.parse(openai.EMBEDDINGS, _encode(fields))


def embedding(body: bytes) -> Call:
    """Raises InputError."""
    asked = _read(_embedding, body)
    fields = {"model": asked.model, "input": asked.prompt, "encoding_format": "float"}
    return calls.parse(openai.EMBEDDINGS, _encode(fields))


def _read(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    calls.check_room(body)
    try:
        text.check(body)  # the decoder does not look into what it keeps as it came, such as arguments of calls
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"the request cannot be read: {error}") from None


def _common(asked: _Asked) -> dict[str, object]:
    options = asked.options or Options()
    fields: dict[str, object] = {"model": asked.model}
    if asked.stream is not False:  # it is the default here
        fields["stream"], fields["stream_options"] = True, {"include_usage": True}
    if options.num_predict is not None and options.num_predict > 0:
        fields["max_tokens"] = options.num_predict
    fields |= {name: value for name in _SAME if (value := getattr(options, name)) is not None}
    if options.repeat_penalty is not None:
        fields["repeat_penalty"] = options.repeat_penalty
    if asked.format == msgspec.Raw(b'"json"'):
        fields["response_format"] = {"type": "json_object"}
    elif bytes(asked.format).startswith(b"{"):
        schema = {"name": "answer", "schema": asked.format, "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    return fields


class _Calls:
    """The calls of a conversation. Their numbers go on from turn to turn: no two of them may have the same id."""

    def __init__(self) -> None:
        self._made = 0
        self._waiting: list[tuple[str, str]] = []
        """Those whose result has not come: (name, id)."""

    def make(self, name: str) -> str:
        """The id of a new one."""
        id_ = f"call_{self._made}_{name}"
        self._made += 1
        self._waiting.append((name, id_))
        return id_

    def answered(self, name: str | None) -> str:
        """The id of the call that this is the result of: the first of that name, or the first of all."""
        found = next((call for call in self._waiting if name is None or call[0] == name), None)
        if found is None:
            raise InputError("messages: a result of a tool that was not called", field="messages")
        self._waiting.remove(found)
        return found[1]


def _messages(asked: list[Message]) -> list[dict[str, object]]:
    made = _Calls()
    return [_message(message, made) for message in asked]


def _message(message: Message, made: _Calls) -> dict[str, object]:
    found: dict[str, object] = {"role": message.role, "content": message.content or ""}
    match message.role:
        case "tool":
            found["tool_call_id"] = made.answered(message.tool_name)
        case "assistant" if message.tool_calls:
            found["tool_calls"] = [_tool_call(call, made) for call in message.tool_calls]
        case "user" if message.images:
            text = [{"type": "text", "text": message.content}] if message.content else []
            found["content"] = [*text, *map(_image, message.images)]
        case "user" | "assistant" | "system":
            pass
        case _:
            raise InputError(f"messages: no such role: {message.role[:40]!r}", field="messages")
    return found


def _tool_call(call: ToolCall, made: _Calls) -> dict[str, object]:
    function = {"name": call.function.name, "arguments": bytes(call.function.arguments).decode()}
    return {"id": made.make(call.function.name), "type": "function", "function": function}


def _image(data: str) -> dict[str, object]:
    kind = next((kind for begin, kind in _IMAGES.items() if data.startswith(begin)), "png")
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}}
