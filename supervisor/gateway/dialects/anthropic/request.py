"""A request to /v1/messages, read. Pure.

Fields that nobody here looks into are left out, or kept as the bytes that came.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from aish.errors import InputError
from aish.supervisor.gateway.dialects import call as calls

NONE: Final = msgspec.Raw(b"null")
_NO_SCHEMA: Final = msgspec.Raw(b'{"type":"object","properties":{}}')
_TYPE: Final = re.compile(r"Invalid value '(?P<value>[^']*)' - at `(?P<place>[^`]*)\.type`")
_PLACE: Final = re.compile(r" - at `\$\.?(?P<place>[^`]*)`")


class Text(msgspec.Struct, tag="text"):
    text: str


class Base64(msgspec.Struct, tag="base64"):
    media_type: str
    data: str


class Url(msgspec.Struct, tag="url"):
    url: str


class Plain(msgspec.Struct, tag="text"):
    data: str


class Blocks(msgspec.Struct, tag="content"):
    content: str | list[Text]


class Image(msgspec.Struct, tag="image"):
    source: Base64 | Url


class Document(msgspec.Struct, tag="document"):
    source: Plain | Blocks | Base64 | Url
    title: str | None = None
    context: str | None = None


class SearchResult(msgspec.Struct, tag="search_result"):
    source: str
    title: str
    content: list[Text]


Said = Text | Image | Document | SearchResult
"""What a user says, or a tool."""


class ToolUse(msgspec.Struct, tag="tool_use"):
    id: str
    name: str
    input: msgspec.Raw


class ToolResult(msgspec.Struct, tag="tool_result"):
    tool_use_id: str
    content: str | list[Said] | None = None


class Thinking(msgspec.Struct, tag="thinking"):
    pass


class RedactedThinking(msgspec.Struct, tag="redacted_thinking"):
    pass


Block = Said | ToolUse | ToolResult | Thinking | RedactedThinking


class Message(msgspec.Struct):
    role: str
    content: str | list[Block]


class Tool(msgspec.Struct):
    name: str
    type: str | None = None
    description: str | None = None
    input_schema: msgspec.Raw = _NO_SCHEMA


class ToolChoice(msgspec.Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Format(msgspec.Struct):
    type: str
    schema: msgspec.Raw


class OutputConfig(msgspec.Struct):
    format: Format | None = None


class Metadata(msgspec.Struct):
    user_id: str | None = None


class Request(msgspec.Struct):
    messages: list[Message]
    model: str = ""
    max_tokens: int | None = None
    system: str | list[Text] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None
    """Its earlier name."""
    metadata: Metadata | None = None
    mcp_servers: msgspec.Raw = NONE
    container: msgspec.Raw = NONE


_request: Final = msgspec.json.Decoder(Request)


def read(body: bytes) -> Request:
    """Raises InputError with the field at fault."""
    calls.check_room(body)
    try:
        return _request.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(
            f"the body is not a JSON object: {error}", hint="send Content-Type: application/json"
        ) from None


def _invalid(told: str) -> InputError:
    """The decoder's words, with the place as Anthropic writes it: messages.0.content."""
    unknown = _TYPE.search(told)
    if unknown is not None:
        field = _field(unknown["place"])
        return InputError(f"{field}: {unknown['value']!r} cannot be translated for this model's server", field=field)
    place = _PLACE.search(told)
    field = _field(place["place"]) if place is not None else ""
    words = _PLACE.sub("", told)
    return InputError(f"{field}: {words}" if field else words, field=field or None)


def _field(place: str) -> str:
    return place.removeprefix("$").replace("[", ".").replace("]", "").removeprefix(".").replace("...", "*")
