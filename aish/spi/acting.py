"""What an agent file says of an agent that acts: its tools, what they may reach, what its answer has to be.

A plain slotted class: the shell loads this on every `@name`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

BUILTIN: Final = "builtin"
"""The adapter of agent files that name tools and no adapter."""
SHELL: Final = "shell"
READ: Final = "read"
WRITE: Final = "write"
EDIT: Final = "edit"
SEARCH: Final = "search"
FETCH: Final = "fetch"
ASK: Final = "ask"
NEAREST: Final = "nearest"
SPAWN: Final = "spawn"
MESSAGE: Final = "message"
TOOLS: Final = (SHELL, READ, WRITE, EDIT, SEARCH, NEAREST, FETCH, ASK, SPAWN, MESSAGE)
LOOKING: Final = frozenset({READ, SEARCH, NEAREST})
"""They change nothing and stay within the paths: nobody is asked unless the file says so."""
DEFAULT: Final = "default"
"""In a table of permissions: of all tools that are not named."""


class Acting:
    """`permissions`: tool, or "default" -> "ask", "allow" or "deny"; empty: one rule for all, the agent's. `paths`:
    absolute folders that may be read and written beside the one it runs in. `hosts`: what `fetch` may ask, as
    "example.org" or "*.example.org". `mcp_servers`: name -> its entry as MCP's JSON configurations have it. `schema`:
    a JSON schema of the answer. `settings`: of its requests, in OpenAI's words. `context_tokens`: of one request at
    most."""

    __slots__ = ("context_tokens", "hosts", "mcp_servers", "paths", "permissions", "schema", "settings", "tools")

    def __init__(
        self,
        *,
        tools: tuple[str, ...] = (),
        permissions: Mapping[str, str] | None = None,
        paths: tuple[str, ...] = (),
        hosts: tuple[str, ...] = (),
        mcp_servers: Mapping[str, Any] | None = None,
        schema: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        context_tokens: int | None = None,
    ) -> None:
        self.tools = tools
        self.permissions = dict(permissions or {})
        self.paths = paths
        self.hosts = hosts
        self.mcp_servers = dict(mcp_servers or {})
        self.schema = schema
        self.settings = dict(settings or {})
        self.context_tokens = context_tokens
