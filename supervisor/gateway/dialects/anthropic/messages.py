"""A request to /v1/messages as a chat in OpenAI's dialect. Pure.

    system                        a message of role system, the first
    text                          text; blocks one after another are lines of one
    image                         image_url, base64 as a data: address
    document, search_result       their text, with title and source; a PDF is refused
    tool_use, tool_result         tool_calls, messages of role tool
    thinking                      left out: no server takes another's signature
    cache_control, metadata       left out: servers cache and count by themselves

What only Anthropic's own servers can do (their tools, files, containers, MCP servers) is refused by name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import InputError
from aish.supervisor.gateway.dialects import call as calls
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.dialects.anthropic.request import (
    NONE,
    Base64,
    Block,
    Blocks,
    Document,
    Image,
    Plain,
    RedactedThinking,
    Request,
    Said,
    SearchResult,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
    Url,
    read,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.supervisor.gateway.dialects.call import Call

_DATED: Final = re.compile(r"_20\d{6}$")
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}

_encode: Final = msgspec.json.Encoder().encode


def to_chat(call: Call) -> Call:
    """The request as a chat. Raises InputError with the field at fault."""
    asked = read(_encode(call.fields))
    chat = calls.parse(openai.CHAT, _encode(_chat(asked)))
    chat.left_out = tuple(dict.fromkeys(tool.type or "" for tool in asked.tools or () if _of_vendor(tool)))
    return chat


def _chat(asked: Request) -> dict[str, object]:
    if bytes(asked.mcp_servers) not in (b"null", b"[]"):
        raise InputError("mcp_servers: only Anthropic's own servers connect to them", field="mcp_servers")
    if asked.container != NONE:
        raise InputError("container: only Anthropic's own servers have one", field="container")
    fields: dict[str, object] = {
        "model": asked.model,
        "messages": _messages(asked),
        "max_tokens": asked.max_tokens,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "top_k": asked.top_k,
        "stop": asked.stop_sequences or None,
        "user": asked.metadata.user_id if asked.metadata is not None else None,
    }
    if asked.stream:
        fields["stream"], fields["stream_options"] = True, {"include_usage": True}
    if asked.tools:
        fields["tools"] = _tools(asked.tools)
        fields |= _choice(asked)
    wanted = (asked.output_config.format if asked.output_config is not None else None) or asked.output_format
    if wanted is not None:
        if wanted.type != "json_schema":
            raise InputError("output_config.format.type: expected 'json_schema'", field="output_config")
        schema = {"name": "answer", "schema": wanted.schema, "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    return {name: value for name, value in fields.items() if value is not None}


def _of_vendor(tool: Tool) -> bool:
    """Whether only Anthropic's own models know it: their kinds have the date of their version behind."""
    return _DATED.search(tool.type or "") is not None


def _tools(tools: Sequence[Tool]) -> list[dict[str, object]]:
    """What others do not know is left out beside tools of the client's own; refused where it has none."""
    own = [_tool(place, tool) for place, tool in enumerate(tools) if not _of_vendor(tool)]
    if not own:
        raise InputError(
            f"tools.0.type: {tools[0].type!r} is a tool of Anthropic's own servers", field="tools.0.type"
        )
    return own


def _tool(place: int, tool: Tool) -> dict[str, object]:
    if tool.type not in (None, "custom"):
        field = f"tools.{place}.type"
        raise InputError(f"{field}: no such kind of tool: {tool.type[:60]!r}", field=field)
    function: dict[str, object] = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description is not None:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _choice(asked: Request) -> dict[str, object]:
    choice = asked.tool_choice
    if choice is None:
        return {}
    if any(_of_vendor(tool) and tool.name == choice.name for tool in asked.tools or ()):
        raise InputError(
            f"tool_choice.name: {choice.name!r} is a tool of Anthropic's own servers", field="tool_choice"
        )
    found: dict[str, object] = {}
    if choice.type == "tool" and choice.name:
        found["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice.type in _CHOICES:
        found["tool_choice"] = _CHOICES[choice.type]
    else:
        raise InputError("tool_choice.type: expected auto, any, none, or tool with a name", field="tool_choice")
    if choice.disable_parallel_tool_use is not None:
        found["parallel_tool_calls"] = not choice.disable_parallel_tool_use
    return found


# --- messages ---------------------------------------------------------------------------------------------------


def _messages(asked: Request) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    system = _text(asked.system) if asked.system is not None else ""
    if system:
        found.append({"role": "system", "content": system})
    for place, message in enumerate(asked.messages):
        blocks: Sequence[Block] = [Text(message.content)] if isinstance(message.content, str) else message.content
        match message.role:
            case "user":
                _add_user(found, blocks, place)
            case "assistant":
                found.append(_assistant(blocks, place))
            case "system":
                found.append({"role": "system", "content": _text(_only_text(blocks, place))})
            case _:
                field = f"messages.{place}.role"
                raise InputError(f"{field}: expected 'user' or 'assistant', got {message.role[:40]!r}", field=field)
    return found


def _add_user(found: list[dict[str, object]], blocks: Sequence[Block], place: int) -> None:
    """Results of tools are messages of their own, before what the user says; images in them come with that."""
    said: list[Said] = []
    for block in blocks:
        match block:
            case ToolResult():
                content = block.content or ""
                parts: Sequence[Said] = [Text(content)] if isinstance(content, str) else content
                text = [part for part in parts if not isinstance(part, Image)]
                said += [part for part in parts if isinstance(part, Image)]
                found.append({"role": "tool", "tool_call_id": block.tool_use_id, "content": _joined(text, place)})
            case ToolUse() | Thinking() | RedactedThinking():
                raise _misplaced(block, place, "an assistant's")
            case _:
                said.append(block)
    if not said:
        return
    spoken = _content(said, place)
    last = found[-1] if found else {}
    if last.get("role") == "user":  # two in a row are one: many chat templates want turns to alternate
        last["content"] = _together(last["content"], spoken)
    else:
        found.append({"role": "user", "content": spoken})


def _assistant(blocks: Sequence[Block], place: int) -> dict[str, object]:
    text: list[str] = []
    used: list[dict[str, object]] = []
    for block in blocks:
        match block:
            case Text():
                text.append(block.text)
            case ToolUse():
                function = {"name": block.name, "arguments": bytes(block.input).decode()}
                used.append({"id": block.id, "type": "function", "function": function})
            case Thinking() | RedactedThinking():
                pass
            case _:
                raise _misplaced(block, place, "a user's")
    message: dict[str, object] = {"role": "assistant", "content": "\n".join(text)}
    if used:
        message["tool_calls"] = used
        message["content"] = message["content"] or None
    return message


def _content(said: Sequence[Said], place: int) -> str | list[dict[str, object]]:
    """One text where there is nothing but text: that is what every server understands."""
    if not any(isinstance(block, Image) for block in said):
        return _joined(said, place)
    parts: list[dict[str, object]] = []
    for block in said:
        if isinstance(block, Image):
            parts.append({"type": "image_url", "image_url": {"url": _address(block.source)}})
        else:
            parts.append({"type": "text", "text": _words(block, place)})
    return parts


def _together(first: object, second: str | list[dict[str, object]]) -> object:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n{second}"
    before = [{"type": "text", "text": first}] if isinstance(first, str) else first
    after = [{"type": "text", "text": second}] if isinstance(second, str) else second
    assert isinstance(before, list)
    return [*before, *after]


def _joined(blocks: Sequence[Said], place: int) -> str:
    return "\n".join(_words(block, place) for block in blocks)


def _words(block: Text | Image | Document | SearchResult, place: int) -> str:
    match block:
        case Text():
            return block.text
        case Document():
            heads = [head for head in (block.title, block.context) if head]
            return "\n".join([*heads, _document(block, place)])
        case SearchResult():
            return "\n".join([block.title, block.source, *(part.text for part in block.content)])
        case Image():
            raise AssertionError("an image has no words")


def _document(block: Document, place: int) -> str:
    match block.source:
        case Plain():
            return block.source.data
        case Blocks():
            return _text(block.source.content)
        case Base64() | Url():
            field = f"messages.{place}.content"
            raise InputError(
                f"{field}: a document that is no text cannot be translated for this model's server", field=field
            )


def _address(source: Base64 | Url) -> str:
    match source:
        case Base64():
            return f"data:{source.media_type};base64,{source.data}"
        case Url():
            return source.url


def _text(content: str | list[Text]) -> str:
    return content if isinstance(content, str) else "\n".join(block.text for block in content)


def _only_text(blocks: Sequence[Block], place: int) -> list[Text]:
    text = [block for block in blocks if isinstance(block, Text)]
    if len(text) != len(blocks):
        field = f"messages.{place}.content"
        raise InputError(f"{field}: a system message is text", field=field)
    return text


def _misplaced(block: msgspec.Struct, place: int, whose: str) -> InputError:
    field = f"messages.{place}.content"
    return InputError(f"{field}: a block of type {block.__struct_config__.tag!r} is {whose}", field=field)
