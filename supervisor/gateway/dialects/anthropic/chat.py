"""A chat in OpenAI's dialect as a request to an Anthropic server. Pure.

    system, developer             system
    text, image_url               text, image (data: addresses as base64)
    tool_calls, role tool         tool_use, tool_result; results one after another are one message
    response_format json_schema   output_config.format
    reasoning_effort              output_config.effort
    max_tokens                    always there: what was granted

What a message of Anthropic's cannot hold is refused by name: several answers (n), sounds, files, log probabilities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import InputError
from aish.supervisor.gateway.dialects import call as calls

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call

_NO_SCHEMA: Final = msgspec.Raw(b'{"type":"object","properties":{}}')
_NONE: Final = msgspec.Raw(b"null")
_MOST_TEMPERATURE: Final = 1.0
_CHOICES: Final = {"auto": "auto", "required": "any", "none": "none"}
_EFFORTS: Final = ("low", "medium", "high", "xhigh")
_REFUSED: Final = (
    "functions",
    "function_call",
    "logit_bias",
    "audio",
    "modalities",
    "web_search_options",
    "prediction",
)

_encode: Final = msgspec.json.Encoder().encode


class _Address(msgspec.Struct):
    url: str


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: _Address | None = None


class _Called(msgspec.Struct):
    name: str
    arguments: str = ""


class _ToolCall(msgspec.Struct):
    id: str
    function: _Called


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = _NO_SCHEMA


class _Tool(msgspec.Struct):
    function: _Function
    type: str = "function"


class _Named(msgspec.Struct):
    name: str


class _ToolChoice(msgspec.Struct):
    function: _Named


class _Schema(msgspec.Struct):
    schema: msgspec.Raw = _NO_SCHEMA


class _Format(msgspec.Struct):
    type: str
    json_schema: _Schema | None = None


class _Chat(msgspec.Struct):
    messages: list[_Message]
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: _Format | None = None
    reasoning_effort: str | None = None
    user: str | None = None
    logprobs: bool | None = None


_READ: Final = frozenset(_Chat.__struct_fields__)
_chat: Final = msgspec.json.Decoder(_Chat)


def body(call: Call, upstream_name: str, max_tokens: int) -> bytes:
    """Raises InputError with the field at fault."""
    asked = _read(call)
    system = [_text(message, place) for place, message in enumerate(asked.messages) if _is_system(message)]
    fields: dict[str, object] = {
        "model": upstream_name,
        "max_tokens": max_tokens,
        "system": "\n".join(system) or None,
        "messages": _messages(asked.messages),
        "temperature": None if asked.temperature is None else min(asked.temperature, _MOST_TEMPERATURE),
        "top_p": asked.top_p,
        "top_k": asked.top_k,
        "stop_sequences": [asked.stop] if isinstance(asked.stop, str) else asked.stop,
        "metadata": None if asked.user is None else {"user_id": asked.user},
        "stream": call.stream or None,
        "output_config": _output(asked) or None,
    }
    if asked.tools:
        fields["tools"] = [_tool(place, tool) for place, tool in enumerate(asked.tools)]
        fields["tool_choice"] = _choice(asked) or None
    return _encode({name: value for name, value in fields.items() if value is not None})


def _read(call: Call) -> _Chat:
    for name in _REFUSED:
        if name in call.fields and call.fields[name] != _NONE:
            raise InputError(f"'{name}' cannot be translated for this model's server", field=name)
    if call.copies > 1:
        raise InputError("'n': this model's server gives one answer", field="n")
    raw = _encode({name: value for name, value in call.fields.items() if name in _READ})
    calls.check_room(raw)
    try:
        asked = _chat.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"the request cannot be translated for this model's server: {error}") from None
    if asked.logprobs:
        raise InputError("'logprobs': this model's server tells none", field="logprobs")
    return asked


def _is_system(message: _Message) -> bool:
    return message.role in ("system", "developer")


def _messages(asked: list[_Message]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for place, message in enumerate(asked):
        if _is_system(message):
            continue
        blocks = _blocks(message, place)
        role = "assistant" if message.role == "assistant" else "user"
        if not blocks:
            continue
        last = found[-1] if found else {}
        if last.get("role") == role:
            together = last["content"]
            assert isinstance(together, list)
            together += blocks
        else:
            found.append({"role": role, "content": blocks})
    if not found:
        raise InputError("'messages': there is none beside the system's", field="messages")
    return found


def _blocks(message: _Message, place: int) -> list[dict[str, object]]:
    match message.role:
        case "user":
            return _content(message, place)
        case "assistant":
            return [*_content(message, place), *(_tool_use(tool, place) for tool in message.tool_calls or ())]
        case "tool":
            if message.tool_call_id is None:
                raise _invalid(place, "a tool's message names its call: tool_call_id")
            return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": _content(message, place)}]
        case _:
            raise _invalid(place, f"no such role: {message.role[:40]!r}")


def _content(message: _Message, place: int) -> list[dict[str, object]]:
    """Without empty texts, which Anthropic's servers refuse."""
    if message.content is None or isinstance(message.content, str):
        return [{"type": "text", "text": message.content}] if message.content else []
    return [block for part in message.content for block in _part(part, place)]


def _part(part: _Part, place: int) -> list[dict[str, object]]:
    if part.type == "image_url" and part.image_url is not None:
        return [{"type": "image", "source": _source(part.image_url.url, place)}]
    text = part.text if part.type == "text" else part.refusal if part.type == "refusal" else None
    if text is None:
        raise _invalid(place, f"a part of type {part.type[:40]!r} cannot be translated for this model's server")
    return [{"type": "text", "text": text}] if text else []


def _source(url: str, place: int) -> dict[str, str]:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    head, _, data = url.removeprefix("data:").partition(",")
    media_type, _, coding = head.rpartition(";")
    if coding != "base64" or not media_type:
        raise _invalid(place, "a data: address of an image is base64")
    return {"type": "base64", "media_type": media_type, "data": data}


def _text(message: _Message, place: int) -> str:
    if isinstance(message.content, str) or message.content is None:
        return message.content or ""
    if any(part.type != "text" for part in message.content):
        raise _invalid(place, "a system message is text")
    return "\n".join(part.text or "" for part in message.content)


def _tool_use(tool: _ToolCall, place: int) -> dict[str, object]:
    given = tool.function.arguments.strip() or "{}"
    try:
        msgspec.json.decode(given, type=calls.AnyObject)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise _invalid(place, f"the arguments of {tool.function.name[:80]!r} are no JSON object") from None
    return {"type": "tool_use", "id": tool.id, "name": tool.function.name, "input": msgspec.Raw(given.encode())}


def _tool(place: int, tool: _Tool) -> dict[str, object]:
    if tool.type != "function":
        raise InputError(f"'tools[{place}].type': {tool.type[:40]!r} is not a function", field="tools")
    function = tool.function
    schema = _NO_SCHEMA if function.parameters == _NONE else function.parameters
    found: dict[str, object] = {"name": function.name, "input_schema": schema}
    return found if function.description is None else {**found, "description": function.description}


def _choice(asked: _Chat) -> dict[str, object]:
    match asked.tool_choice:
        case None:
            found: dict[str, object] = {"type": "auto"} if asked.parallel_tool_calls is False else {}
        case str(word):
            if word not in _CHOICES:
                raise InputError("'tool_choice': expected auto, required, none or a function", field="tool_choice")
            found = {"type": _CHOICES[word]}
        case _ToolChoice(function):
            found = {"type": "tool", "name": function.name}
    if asked.parallel_tool_calls is False and found.get("type") != "none":
        found["disable_parallel_tool_use"] = True
    return found


def _output(asked: _Chat) -> dict[str, object]:
    found: dict[str, object] = {}
    if asked.reasoning_effort in _EFFORTS:
        found["effort"] = asked.reasoning_effort
    wanted = asked.response_format
    if wanted is None or wanted.type == "text":
        return found
    if wanted.type != "json_schema" or wanted.json_schema is None:
        raise InputError(
            f"'response_format': {wanted.type[:40]!r} cannot be translated for this model's server; json_schema can",
            field="response_format",
        )
    return {**found, "format": {"type": "json_schema", "schema": wanted.json_schema.schema}}


def _invalid(place: int, why: str) -> InputError:
    return InputError(f"'messages[{place}]': {why}", field=f"messages[{place}]")
