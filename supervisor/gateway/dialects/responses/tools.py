"""Tools of a request for a response, as functions of a chat. Pure.

    function             a function
    custom               a function with one argument, `input`
    namespace            its tools, named NAMESPACE__NAME; a call of one is told with its namespace beside its name
    of OpenAI's servers  left out beside tools of the client's own; refused where it has none, and where one is chosen

Codex offers a search of the web and a namespace with every request. To refuse the first would shut it out of all
other servers; and a call whose namespace stands within its name is one that it does not know.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aish.supervisor.gateway.dialects.call import Call

NO_SCHEMA: Final = msgspec.Raw(b'{"type":"object","properties":{}}')
FREE_TEXT: Final = msgspec.Raw(
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}'
)
INPUT: Final = "input"
"""The argument of a custom tool."""
MOST_NAME_CHARS: Final = 64
"""Of a function's name, at OpenAI and most others."""
_NONE: Final = msgspec.Raw(b"null")
_HOSTED: Final = (
    *("web_search", "file_search", "code_interpreter", "computer", "image_generation", "mcp", "tool_search"),
    *("local_shell", "shell", "apply_patch"),
)
"""How kinds begin that only OpenAI's own models know; some have a date behind."""


class Tool(msgspec.Struct):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = NO_SCHEMA
    strict: bool | None = None
    tools: list[Tool] | None = None
    """Of a namespace."""


class ToolChoice(msgspec.Struct):
    type: str
    name: str | None = None
    namespace: str | None = None


class Offered(msgspec.Struct, frozen=True):
    """What a chat is to have of them."""

    functions: list[dict[str, object]]
    left_out: tuple[str, ...]
    """Kinds of tools that only OpenAI's own servers have."""


class Names(msgspec.Struct, frozen=True):
    """What the functions of a chat are to its client."""

    custom: frozenset[str]
    spaces: dict[str, tuple[str, str]]
    """A function's name -> its namespace and its name there."""

    def told(self, name: str) -> tuple[str | None, str]:
        """Namespace and name of what is called."""
        return self.spaces.get(name, (None, name))


def offered(tools: Sequence[Tool]) -> Offered:
    """Raises InputError with the tool at fault."""
    functions: list[dict[str, object]] = []
    hosted: dict[str, str] = {}
    names: set[str] = set()
    for field, space, tool in _each(tools):
        if tool.type.startswith(_HOSTED):
            hosted.setdefault(tool.type[:60], field)
            continue
        function = _function(field, space, tool)
        if function["name"] in names:
            raise InputError(f"'{field}': there are two tools named {function['name']}", field=field)
        names.add(str(function["name"]))
        functions.append({"type": "function", "function": function})
    if hosted and not functions:
        kind, field = next(iter(hosted.items()))
        raise InputError(f"'{field}': {kind!r} is a tool of OpenAI's own servers", field=field)
    return Offered(functions, tuple(hosted))


def names(call: Call) -> Names:
    """Of a request that was read before."""
    if "tools" not in call.fields:
        return Names(frozenset(), {})
    tools = msgspec.json.decode(call.fields["tools"], type=list[Tool] | None) or []
    own = [(space, tool) for _, space, tool in _each(tools) if not tool.type.startswith(_HOSTED) and tool.name]
    custom = frozenset(flat(space, tool.name or "") for space, tool in own if tool.type == "custom")
    return Names(custom, {flat(space, tool.name or ""): (space, tool.name or "") for space, tool in own if space})


def flat(space: str | None, name: str) -> str:
    """The one name of a tool in a namespace, no longer than servers take."""
    whole = name if space is None else f"{space}__{name}"
    if space is None or len(whole) <= MOST_NAME_CHARS:
        return whole
    mark = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{whole[: MOST_NAME_CHARS - len(mark) - 1]}_{mark}"


def choice(chosen: str | ToolChoice | None) -> object:
    """Raises InputError."""
    if chosen is None or isinstance(chosen, str):
        return chosen
    if chosen.type not in ("function", "custom") or chosen.name is None:
        raise InputError(f"'tool_choice': {chosen.type[:60]!r} cannot be translated", field="tool_choice")
    return {"type": "function", "function": {"name": flat(chosen.namespace, chosen.name)}}


def _each(tools: Sequence[Tool]) -> Iterator[tuple[str, str | None, Tool]]:
    """Where it stands, its namespace, a tool."""
    for place, tool in enumerate(tools):
        if tool.type != "namespace":
            yield f"tools[{place}]", None, tool
            continue
        for inner, each in enumerate(tool.tools or ()):
            yield f"tools[{place}].tools[{inner}]", tool.name or "", each


def _function(field: str, space: str | None, tool: Tool) -> dict[str, object]:
    if tool.type not in ("function", "custom") or not tool.name or space == "":
        what = "it has no name" if tool.type in ("function", "custom") else f"no such kind: {tool.type[:60]!r}"
        raise InputError(f"'{field}': {what}", field=field)
    schema = NO_SCHEMA if tool.parameters == _NONE else tool.parameters
    function: dict[str, object] = {
        "name": flat(space, tool.name),
        "parameters": schema if tool.type == "function" else FREE_TEXT,
    }
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return function
