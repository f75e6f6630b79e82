"""A chat with tools as one without: the tools are described to the model, and a grammar forces what it writes. Pure.

    <tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>

is a call, as many models have learned it. With tool_choice `auto` the model may answer in words instead, which then
do not begin with `<`. Several calls in one answer are for who asks for them (parallel_tool_calls true): a model that
has not learned to call tools does not know when to stop. Earlier calls and their results become text of that form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from aish.errors import InputError
from aish.supervisor.gateway.dialects import call as calls
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.dialects.toolcalls.gbnf import Grammar, either, literal
from aish.supervisor.gateway.dialects.toolcalls.schema import Compiler, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.supervisor.gateway.dialects.call import Call

OPENING: Final = '<tool_call>{"name": "'
BETWEEN: Final = '", "arguments": '
CLOSING: Final = "}</tool_call>"
MOST_TOOLS: Final = 128
MOST_CALLS: Final = 8
"""In one answer."""
MOST_TYPE_CHARS: Final = 400
_TOOL_FIELDS: Final = ("tools", "tool_choice", "parallel_tool_calls")
_TEXT: Final = r"[^<\x00] [^\x00]*"
_NONE: Final = msgspec.Raw(b"null")

_encode: Final = msgspec.json.Encoder().encode


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(msgspec.Struct):
    function: _Function
    type: str = "function"


class _Named(msgspec.Struct):
    name: str


class _Choice(msgspec.Struct):
    function: _Named
    type: str = "function"


class _Called(msgspec.Struct):
    name: str
    arguments: str = ""


class _ToolCall(msgspec.Struct):
    function: _Called
    id: str = ""


class _Message(msgspec.Struct):
    """One whose words are looked at; its content passes."""

    role: str = ""
    content: msgspec.Raw = _NONE
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None


def offered(call: Call) -> Call:
    """The request without tools, as it is where there are none or none may be called. Raises InputError."""
    if "tools" not in call.fields or call.endpoint != openai.CHAT:
        return call
    fields = {name: raw for name, raw in call.fields.items() if name not in _TOOL_FIELDS}
    calls.check_room(bytes(call.fields["tools"]))
    tools = _decoded(call, "tools", list[_Tool] | None)
    choice = _decoded(call, "tool_choice", str | _Choice | None) if "tool_choice" in call.fields else None
    messages = _decoded(call, "messages", list[msgspec.Raw])
    if not tools or choice == "none":
        return calls.parse(openai.CHAT, _encode(fields | {"messages": _rewritten(messages)}))
    chosen, forced = _chosen(tools, choice), choice not in (None, "auto")
    several = not isinstance(choice, _Choice) and bytes(call.fields.get("parallel_tool_calls", _NONE)) == b"true"
    fields["grammar"] = msgspec.Raw(_encode(_grammar(chosen, forced=forced, several=several)))
    told = _description(chosen, forced=forced)
    return calls.parse(openai.CHAT, _encode(fields | {"messages": _with_system(_rewritten(messages), told)}))


def _decoded(call: Call, name: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(call.fields[name], type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"Invalid '{name}': {error}", field=name) from None


def _chosen(tools: list[_Tool], choice: str | _Choice | None) -> list[_Function]:
    if len(tools) > MOST_TOOLS:
        raise InputError(f"Invalid 'tools': at most {MOST_TOOLS}.", field="tools")
    functions = [tool.function for tool in tools if tool.type == "function"]
    if isinstance(choice, _Choice):
        named = [function for function in functions if function.name == choice.function.name]
        if not named:
            raise InputError(
                f"Invalid 'tool_choice': there is no tool {choice.function.name[:80]!r}.", field="tool_choice"
            )
        return named[:1]
    if choice not in (None, "auto", "required"):
        raise InputError("Invalid 'tool_choice': none, auto, required or a function.", field="tool_choice")
    if not functions:
        raise InputError("Invalid 'tools': only functions can be called on this model's server.", field="tools")
    return functions


# --- the grammar ------------------------------------------------------------------------------------------------


def _grammar(functions: Sequence[_Function], *, forced: bool, several: bool) -> str:
    grammar = Grammar()
    compiler = Compiler(grammar)
    heads = []
    for function in functions:
        arguments = compiler.compile({"type": "object", **(function.parameters or {})})
        heads.append(f"{literal(function.name + BETWEEN)} {arguments}")
    one = grammar.rule(f"{literal(OPENING)} {either(heads)} {literal(CLOSING)}")
    called = f'{one} ("\\n" {one}){{0,{MOST_CALLS - 1}}}' if several else one
    return grammar.text(called if forced else f"{grammar.rule(called)} | {grammar.rule(_TEXT)}")


# --- what the model is told -------------------------------------------------------------------------------------


def _description(functions: Sequence[_Function], *, forced: bool) -> str:
    example = f"{OPENING}{functions[0].name}{BETWEEN}{{…}}{CLOSING}"
    lines = [f"Tools that you can call, by writing {example}:"]
    for function in functions:
        about = " ".join((function.description or "").split())
        said = f"- {function.name}{_type(function.parameters or {}, 0)}"
        lines.append(f"{said}: {about}" if about else said)
    lines.append("Answer with a call." if forced else "Call one if it helps; else answer in words.")
    return "\n".join(lines)


def _type(schema: Any, depth: int) -> str:
    """A schema in a few words, as people write types."""
    if not isinstance(schema, dict) or depth > 4:
        return "any"
    if "const" in schema:
        return written(schema["const"])
    if isinstance(schema.get("enum"), list):
        return "|".join(map(written, schema["enum"]))[:MOST_TYPE_CHARS]
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list):
            return "|".join(_type(choice, depth + 1) for choice in schema[word])[:MOST_TYPE_CHARS]
    if isinstance(schema.get("properties"), dict):
        required = schema.get("required") or []
        inner = ", ".join(
            f"{name}{'' if name in required else '?'}: {_type(each, depth + 1)}"
            for name, each in schema["properties"].items()
        )
        return ("{" if depth else "(") + inner + ("}" if depth else ")")
    if depth == 0:
        return "()"
    if schema.get("type") == "array":
        return f"[{_type(schema.get('items', {}), depth + 1)}]"
    told = schema.get("type", "any")
    return "|".join(map(str, told)) if isinstance(told, list) else str(told)


# --- earlier calls ----------------------------------------------------------------------------------------------


def _with_system(messages: list[object], told: str) -> list[object]:
    first = messages[0] if messages else None
    if isinstance(first, dict) and first.get("role") in ("system", "developer"):
        before = first["content"]
        said = before if isinstance(before, str) else "\n".join(part.get("text", "") for part in before or ())
        return [{"role": "system", "content": f"{said}\n\n{told}"}, *messages[1:]]
    return [{"role": "system", "content": told}, *messages]


def _rewritten(messages: list[msgspec.Raw]) -> list[object]:
    """Calls and results as text; what is neither passes as it is, but for a first system message."""
    found: list[object] = []
    names: dict[str, str] = {}
    results: list[str] = []
    for place, raw in enumerate(messages):
        message = _message(raw, place)
        if message.role == "tool":
            name = names.get(message.tool_call_id or "", "")
            results.append(f"<tool_response>{name}: {_words(message.content)}</tool_response>")
            continue
        if results:
            found.append({"role": "user", "content": "\n".join(results)})
            results = []
        if message.tool_calls:
            names |= {call.id: call.function.name for call in message.tool_calls}
            written_calls = [_written_call(call) for call in message.tool_calls]
            said = _words(message.content)
            found.append(
                {"role": "assistant", "content": "\n".join([said, *written_calls] if said else written_calls)}
            )
        elif place == 0 and message.role in ("system", "developer"):
            found.append({"role": "system", "content": _words(message.content)})
        else:
            found.append(raw)
    if results:
        found.append({"role": "user", "content": "\n".join(results)})
    return found


def _written_call(call: _ToolCall) -> str:
    return f"{OPENING}{call.function.name}{BETWEEN}{call.function.arguments or '{}'}{CLOSING}"


def _message(raw: msgspec.Raw, place: int) -> _Message:
    try:
        return msgspec.json.decode(raw, type=_Message)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"Invalid 'messages[{place}]': {error}", field=f"messages[{place}]") from None


class _Part(msgspec.Struct):
    text: str | None = None


def _words(content: msgspec.Raw) -> str:
    """The text of a message's content; what is no text is left out."""
    try:
        told: str | list[_Part] | None = msgspec.json.decode(content, type=str | list[_Part] | None)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ""
    if told is None or isinstance(told, str):
        return told or ""
    return "\n".join(part.text for part in told if part.text)
