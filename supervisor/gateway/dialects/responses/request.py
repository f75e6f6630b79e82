"""A request for a response as a chat. Pure.

    instructions                          a message of role system, the first
    message                               a message; input_text, output_text, input_image in it
    function_call, function_call_output   tool_calls, messages of role tool
    tools                                 functions: see tools.py
    text.format                           response_format
    reasoning                             left out: no server takes another's

Nothing is stored here: `previous_response_id`, `conversation`, `background` and item references are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import InputError
from aish.supervisor.gateway.dialects import call as calls
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.dialects.responses import tools
from aish.supervisor.gateway.dialects.responses.tools import INPUT, Tool, ToolChoice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.supervisor.gateway.dialects.call import Call

_NONE: Final = msgspec.Raw(b"null")
_REFUSED: Final = {
    "previous_response_id": "nothing is stored here: send the whole input, with store=false",
    "conversation": "nothing is stored here: send the whole input",
    "prompt": "nothing is stored here: send the whole input",
    "background": "an answer lives as long as its connection",
}

_encode: Final = msgspec.json.Encoder().encode


class Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None


class Item(msgspec.Struct):
    """All that items have which can be translated. Messages may come without a type."""

    type: str | None = None
    role: str | None = None
    content: str | list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: str | list[Part] | None = None


class Format(msgspec.Struct):
    type: str
    name: str | None = None
    schema: msgspec.Raw = _NONE
    strict: bool | None = None
    description: str | None = None


class Text(msgspec.Struct):
    format: Format | None = None


class Request(msgspec.Struct):
    input: str | list[Item]
    model: str | None = None
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    parallel_tool_calls: bool | None = None
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    text: Text | None = None
    user: str | None = None
    safety_identifier: str | None = None


_READ: Final = frozenset(Request.__struct_fields__)
_request: Final = msgspec.json.Decoder(Request)


def to_chat(call: Call) -> Call:
    """Raises InputError with the field at fault."""
    refuse(call, *_REFUSED)
    asked = _read(call)
    fields: dict[str, object] = {
        "model": asked.model,
        "messages": _messages(asked),
        "max_tokens": asked.max_output_tokens,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "user": asked.user or asked.safety_identifier,
        "response_format": _format(asked.text),
    }
    if asked.stream:
        fields["stream"], fields["stream_options"] = True, {"include_usage": True}
    left_out: tuple[str, ...] = ()
    if asked.tools:
        offered = tools.offered(asked.tools)
        fields["tools"], left_out = offered.functions, offered.left_out
        fields["tool_choice"] = tools.choice(asked.tool_choice)
        fields["parallel_tool_calls"] = asked.parallel_tool_calls
    chat = calls.parse(openai.CHAT, _encode({name: value for name, value in fields.items() if value is not None}))
    chat.left_out = left_out
    return chat


def refuse(call: Call, *names: str) -> None:
    """Raises InputError where one of these fields asks for something."""
    for name in names:
        if name in call.fields and bytes(call.fields[name]) not in (b"null", b"false"):
            raise InputError(f"'{name}': {_REFUSED[name]}", field=name)


def _read(call: Call) -> Request:
    raw = _encode({name: value for name, value in call.fields.items() if name in _READ})
    calls.check_room(raw)
    try:
        return _request.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"the request cannot be read: {error}") from None


def _messages(asked: Request) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    if asked.instructions:
        found.append({"role": "system", "content": asked.instructions})
    if isinstance(asked.input, str):
        return [*found, {"role": "user", "content": asked.input}]
    for place, item in enumerate(asked.input):
        _add(found, item, place)
    return found


def _add(found: list[dict[str, object]], item: Item, place: int) -> None:
    match item.type:
        case None | "message":
            found.append(_message(item, place))
        case "function_call":
            _add_call(found, item, item.arguments or "{}", place)
        case "custom_tool_call":
            _add_call(found, item, _encode({INPUT: item.input or ""}).decode(), place)
        case "function_call_output" | "custom_tool_call_output":
            if item.call_id is None:
                raise _invalid(place, "an output names its call: call_id")
            found.append({"role": "tool", "tool_call_id": item.call_id, "content": _text(item.output, place)})
        case "reasoning":
            pass
        case _:
            raise _invalid(place, f"{item.type[:60]!r} cannot be translated for this model's server")


def _message(item: Item, place: int) -> dict[str, object]:
    match item.role:
        case "user":
            return {"role": "user", "content": _content(item.content, place)}
        case "assistant":
            return {"role": "assistant", "content": _text(item.content, place)}
        case "system" | "developer":
            return {"role": "system", "content": _text(item.content, place)}
        case _:
            raise _invalid(place, f"no such role: {(item.role or '')[:40]!r}")


def _add_call(found: list[dict[str, object]], item: Item, arguments: str, place: int) -> None:
    """Calls one after another are of one message, and of the words before them."""
    if item.call_id is None or item.name is None:
        raise _invalid(place, "a call has a call_id and a name")
    function = {"name": tools.flat(item.namespace, item.name), "arguments": arguments}
    call = {"id": item.call_id, "type": "function", "function": function}
    last = found[-1] if found else {}
    if last.get("role") != "assistant":
        last = {"role": "assistant", "content": None}
        found.append(last)
    made = last.setdefault("tool_calls", [])
    assert isinstance(made, list)
    made.append(call)


def _content(content: str | Sequence[Part] | None, place: int) -> object:
    if content is None or isinstance(content, str):
        return content or ""
    if all(part.type != "input_image" for part in content):
        return _text(content, place)
    parts: list[dict[str, object]] = []
    for part in content:
        if part.type == "input_image":
            if part.image_url is None:
                raise _invalid(place, "an image is given by its image_url: no file is stored here")
            parts.append({"type": "image_url", "image_url": {"url": part.image_url}})
        else:
            parts.append({"type": "text", "text": _words(part, place)})
    return parts


def _text(content: str | Sequence[Part] | None, place: int) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(_words(part, place) for part in content)


def _words(part: Part, place: int) -> str:
    match part.type:
        case "input_text" | "output_text" | "text" | "reasoning_text" | "summary_text":
            return part.text or ""
        case "refusal":
            return part.refusal or ""
        case _:
            raise _invalid(place, f"a part of type {part.type[:40]!r} cannot be translated for this model's server")


def _format(text: Text | None) -> dict[str, object] | None:
    wanted = text.format if text is not None else None
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type != "json_schema":
        return {"type": wanted.type}
    schema = {"name": wanted.name or "answer", "schema": wanted.schema, "strict": wanted.strict}
    return {
        "type": "json_schema",
        "json_schema": {name: value for name, value in schema.items() if value is not None},
    }


def _invalid(place: int, why: str) -> InputError:
    return InputError(f"'input[{place}]': {why}", field=f"input[{place}]")
