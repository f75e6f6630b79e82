"""MCP servers of an agent: those of stdio belong to it and end with it, others are asked by their URL."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any, Final

import anyio
import mcp_types
from fastmcp.client.transports import ClientTransport
from fastmcp.client.transports.base import TransportOptions
from mcp.shared.message import SessionMessage
from pydantic_ai.mcp import MCPToolset

from aish.errors import UpstreamError
from aish.plugins.builtin.entries import filled
from aish.spi.agent_adapter import Command

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp import ClientSession
    from pydantic_ai.toolsets import AbstractToolset

    from aish.spi.agent_adapter import Host, Lines

    Read = MemoryObjectReceiveStream[SessionMessage | Exception]
    Write = MemoryObjectSendStream[SessionMessage]

GIVEN: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
"""Variables that each server has; the rest is what its entry names."""
NAME_CHARS: Final = 40
_UNNAMED: Final = re.compile(r"[^A-Za-z0-9._-]+")


def toolsets(
    servers: Mapping[str, Any], host: Host, environ: Mapping[str, str] = os.environ
) -> list[AbstractToolset[Any]]:
    """One for each; a tool is called SERVER_TOOL. Raises InputError."""
    return [_toolset(name, filled(entry, environ, name), host, environ) for name, entry in servers.items()]


def _toolset(name: str, entry: Mapping[str, Any], host: Host, environ: Mapping[str, str]) -> AbstractToolset[Any]:
    if "url" in entry:
        return MCPToolset(entry["url"], id=name, headers=entry.get("headers")).prefixed(name)
    return MCPToolset(Supervised(host, name, command(entry, environ)), id=name).prefixed(name)


def command(entry: Mapping[str, Any], environ: Mapping[str, str]) -> Command:
    argv = (entry["command"], *(str(word) for word in entry.get("args") or ()))
    given = {key: environ[key] for key in GIVEN if key in environ}
    return Command(argv=argv, environ={**given, **(entry.get("env") or {})}, cwd=entry.get("cwd"))


class Supervised(ClientTransport):
    """A server that the host starts, for the library's client."""

    def __init__(self, host: Host, name: str, command: Command) -> None:
        self._host, self._name, self._command = host, name, command

    @contextlib.asynccontextmanager
    async def connect_session(
        self, *, transport_options: TransportOptions | None = None, **session_kwargs: Any
    ) -> AsyncGenerator[ClientSession, None]:
        options = transport_options or TransportOptions()
        lines = await self._host.helper(f"mcp-{_UNNAMED.sub('-', self._name)[:NAME_CHARS]}", self._command)
        async with messages(lines) as (read, write), options.session_class(read, write, **session_kwargs) as session:
            yield session


@contextlib.asynccontextmanager
async def messages(lines: Lines) -> AsyncGenerator[tuple[Read, Write], None]:
    """JSON-RPC, a message a line, as streams of the library. What a server writes that is no message is passed on as
    the error that it is."""
    heard, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, said = anyio.create_memory_object_stream[SessionMessage](0)

    async def hear() -> None:
        async with heard:
            async for line in lines.lines():
                if not line.strip():
                    continue
                try:
                    await heard.send(_message(line))
                except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                    return

    async def say() -> None:
        async with said:
            async for message in said:
                try:
                    await lines.send(message.message.model_dump_json(by_alias=True, exclude_unset=True))
                except UpstreamError:
                    await heard.aclose()  # a request to it would else wait for ever
                    return

    async with anyio.create_task_group() as both:
        both.start_soon(hear)
        both.start_soon(say)
        try:
            yield read, write
        finally:
            read.close()
            write.close()
            await lines.close()
            both.cancel_scope.cancel()


def _message(line: str) -> SessionMessage | Exception:
    try:
        return SessionMessage(mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error
