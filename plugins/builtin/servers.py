"""MCP servers of an agent: those of stdio belong to it and end with it, others are asked by their URL."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import mcp_types
from fastmcp.client.transports import ClientTransport
from fastmcp.client.transports.base import TransportOptions
from mcp.shared.message import SessionMessage
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.toolsets import WrapperToolset

from aish.agents.host.splitting import LINE_BYTES
from aish.errors import AishError, NotFoundError, UnavailableError, UpstreamError
from aish.plugins.builtin.entries import filled
from aish.plugins.builtin.wish import one_line
from aish.spi.agent_adapter import Command
from aish.wire import authorities

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator, Mapping

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp import ClientSession
    from pydantic_ai import RunContext
    from pydantic_ai.toolsets import AbstractToolset
    from pydantic_ai.toolsets.abstract import ToolsetTool

    from aish.spi.agent_adapter import Host, Lines

    Read = MemoryObjectReceiveStream[SessionMessage | Exception]
    Write = MemoryObjectSendStream[SessionMessage]
    Id = int | str

GIVEN: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
"""Variables that each server has; the rest is what its entry names."""
NAME_CHARS: Final = 40
START_S: Final = 60.0
"""Until it has said what it is: many are fetched first (npx, uvx)."""
CALL_S: Final = 300.0
WHY_CHARS: Final = 300
HINT: Final = "its entry in mcp_servers, and what it says itself: `aish ps -a`, `aish logs`"
URL_HINT: Final = "its entry in mcp_servers, and whether there is a server at its url"
_OF_SERVERS: Final = (NotFoundError, UnavailableError, UpstreamError)
"""Errors that a server is to blame for, or its entry."""
_UNNAMED: Final = re.compile(r"[^A-Za-z0-9._-]+")


def toolsets(
    servers: Mapping[str, Any], host: Host, environ: Mapping[str, str] = os.environ
) -> list[AbstractToolset[Any]]:
    """One for each; a tool is called SERVER_TOOL. Raises InputError."""
    return [_toolset(name, filled(entry, environ, name), host, environ) for name, entry in servers.items()]


def _toolset(name: str, entry: Mapping[str, Any], host: Host, environ: Mapping[str, str]) -> AbstractToolset[Any]:
    made: MCPToolset[Any]
    if "url" in entry:
        secure = authorities.trusted() if entry["url"].lower().startswith("https:") else None
        made = MCPToolset(
            entry["url"],
            id=name,
            headers=entry.get("headers"),
            verify=secure,
            init_timeout=START_S,
            read_timeout=CALL_S,
        )
    else:
        server = Supervised(host, name, command(entry, environ))
        made = MCPToolset(server, id=name, init_timeout=START_S, read_timeout=CALL_S)
    return Named(made, name, URL_HINT if "url" in entry else HINT).prefixed(name)


@dataclass
class Named(WrapperToolset[Any]):
    """Says whose fault it is where a server does not start, or does not tell its tools. Raises UnavailableError, and
    the supervisor's own word where that refuses to start it."""

    name: str
    hint: str

    async def __aenter__(self) -> Self:
        with self._blamed("did not start"):
            await super().__aenter__()
        return self

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        with self._blamed("does not tell its tools"):
            return await super().get_tools(ctx)

    @contextlib.contextmanager
    def _blamed(self, what: str) -> Generator[None, None, None]:
        try:
            yield
        except Exception as error:
            cause: BaseException = error
            while isinstance(cause, BaseExceptionGroup):
                cause = cause.exceptions[0]
            refused = _refused(cause)
            if refused is not None:
                raise refused from None
            why = one_line(str(cause) or type(cause).__name__, WHY_CHARS)
            raise UnavailableError(f"the MCP server {self.name} {what}: {why}", hint=self.hint) from error


def _refused(cause: BaseException | None) -> AishError | None:
    """The supervisor's own word, of what the library has made of it."""
    while cause is not None:
        if isinstance(cause, AishError):
            return None if isinstance(cause, _OF_SERVERS) else cause
        cause = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause.__cause__
    return None


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
    waiting: list[Id] = []

    async def hear() -> None:
        async with heard:
            async for line in lines.lines():
                if not line.strip():
                    continue
                try:
                    for message in _messages(line, waiting):
                        await heard.send(message)
                except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                    return

    async def say() -> None:
        async with said:
            async for message in said:
                if isinstance(message.message, mcp_types.JSONRPCRequest):
                    waiting.append(message.message.id)
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


def _messages(line: str, waiting: list[Id]) -> Iterator[SessionMessage | Exception]:
    """What a line says; `waiting` are the requests without an answer. A line that was cut answers one of them, and
    which may stand in what is lost: all hear that, in place of waiting for as long as a call may take."""
    try:
        message = mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError as error:
        if len(line.encode("utf-8", "replace")) < LINE_BYTES:
            yield error
            return
        said = mcp_types.ErrorData(
            code=mcp_types.INTERNAL_ERROR, message=f"an answer of more than {LINE_BYTES:,} bytes"
        )
        numbers = waiting[:]
        waiting.clear()  # what is asked while they are told has not been answered
        for number in numbers:
            yield SessionMessage(mcp_types.JSONRPCError(jsonrpc="2.0", id=number, error=said))
        return
    if isinstance(message, mcp_types.JSONRPCResponse | mcp_types.JSONRPCError) and message.id in waiting:
        waiting.remove(message.id)
    yield SessionMessage(message)
