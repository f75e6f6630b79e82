"""MCP servers of an agent: those of stdio are its children and end with it, others are asked by their URL."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from aish.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_ai.toolsets import AbstractToolset

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def toolsets(servers: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> list[AbstractToolset[Any]]:
    """One for each; a tool is called SERVER_TOOL. Raises InputError."""
    return [_toolset(name, filled(entry, environ, name)) for name, entry in servers.items()]


def _toolset(name: str, entry: Mapping[str, Any]) -> AbstractToolset[Any]:
    from fastmcp.client.transports import StdioTransport  # heavy, and only for who has servers
    from pydantic_ai.mcp import MCPToolset

    if "url" in entry:
        return MCPToolset(entry["url"], id=name, headers=entry.get("headers")).prefixed(name)
    transport = StdioTransport(
        command=entry["command"],
        args=[str(word) for word in entry.get("args") or ()],
        env=dict(entry.get("env") or {}),
        cwd=entry.get("cwd"),
        keep_alive=False,  # the library's own wish is to keep it for another turn, of which there is none
    )
    return MCPToolset(transport, id=name).prefixed(name)


def filled(value: Any, environ: Mapping[str, str], name: str) -> Any:
    """With `${NAME}` and `${NAME:-otherwise}` replaced in all texts, as other programs read the same file. Raises
    InputError."""

    def one(found: re.Match[str]) -> str:
        text = environ.get(found[1], found[2])
        if text is None:
            raise InputError(f"mcp_servers: {name} needs {found[1]}, which is not set", field="mcp_servers")
        return text

    match value:
        case str():
            return _VARIABLE.sub(one, value)
        case dict():
            return {key: filled(each, environ, name) for key, each in value.items()}
        case list():
            return [filled(each, environ, name) for each in value]
        case _:
            return value
