"""MCP servers of an agent: those of stdio are its children and end with it, others are asked by their URL."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from aish.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_ai.toolsets import AbstractToolset


def toolsets(servers: Mapping[str, Any], folder: str) -> list[AbstractToolset[Any]]:
    """One for each; a tool is called SERVER_TOOL. `${NAME}` in an entry is a variable of the agent's environment.

    Raises InputError.
    """
    if not servers:
        return []
    from pydantic_ai.mcp import load_mcp_toolsets

    path = os.path.join(folder, "mcp.json")
    with open(path, "w", encoding="utf-8") as stream:
        json.dump({"mcpServers": servers}, stream)
    try:
        return list(load_mcp_toolsets(path))
    except ValueError as error:
        raise InputError(f"mcp_servers: {error}", field="mcp_servers") from error
