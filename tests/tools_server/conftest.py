"""`aish mcp` as clients have it: by the SDK's own client, and line by line."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client, StdioServerParameters, stdio_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from conftest import Home
    from mcp.types import CallToolResult, Implementation

DEADLINE_S = 60.0


class Tools:
    """The tools of one server."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """What it answers as an object; the SDK's client has compared it with its schema by then."""
        found = await self._called(name, arguments)
        assert not found.is_error, _text(found)
        assert _text(found), "there is a text beside the object, for clients that know no other"
        assert isinstance(found.structured_content, dict)
        return found.structured_content

    async def refusal(self, name: str, /, **arguments: Any) -> str:
        found = await self._called(name, arguments)
        assert found.is_error, found.structured_content
        return _text(found)

    async def _called(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        async with asyncio.timeout(DEADLINE_S):
            return await self.client.call_tool(name, arguments)


def _text(found: CallToolResult) -> str:
    (content,) = found.content
    assert content.type == "text"
    return content.text


@asynccontextmanager
async def tools(
    home: Home, *words: str, client_info: Implementation | None = None, mode: str = "auto"
) -> AsyncIterator[Tools]:
    parameters = StdioServerParameters(
        command=sys.executable, args=["-P", "-m", "aish", "mcp", *words], env=home.environ, cwd=home.root
    )
    with open(home.root / "stderr", "a") as stderr:
        async with Client(stdio_client(parameters, stderr), client_info=client_info, mode=mode) as client:
            yield Tools(client)


class Wire:
    """A server spoken to line by line: what the SDK's client would never send."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.seen: list[dict[str, Any]] = []

    def send(self, line: bytes | dict[str, Any]) -> None:
        assert self.process.stdin is not None
        text = line if isinstance(line, bytes) else json.dumps({"jsonrpc": "2.0"} | line).encode()
        self.process.stdin.write(text + b"\n")

    def ask(self, id: int, method: str, **params: Any) -> None:
        self.send({"id": id, "method": method, "params": params})

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Each line of stdout is a message of the protocol, or this fails."""
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            while line := await self.process.stdout.readline():
                message = json.loads(line)
                assert message["jsonrpc"] == "2.0"
                self.seen.append(message)
                if wanted(message):
                    return message
        raise AssertionError(f"the server has ended: {self.seen}")

    async def answer(self, id: int) -> dict[str, Any]:
        return await self.until(lambda message: message.get("id") == id)

    async def greeted(self) -> None:
        about = {"name": "wire", "version": "1"}
        self.ask(0, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=about)
        await self.answer(0)
        self.send({"method": "notifications/initialized"})

    async def ended(self) -> int:
        async with asyncio.timeout(DEADLINE_S):
            return await self.process.wait()


@asynccontextmanager
async def wire(home: Home, *words: str) -> AsyncIterator[Wire]:
    with open(home.root / "stderr", "ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", "aish", "mcp", *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env=home.environ,
            cwd=home.root,
            limit=1 << 24,
        )
    try:
        yield Wire(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(100):
            await work()

    try:
        asyncio.run(bounded())
    except BaseExceptionGroup as group:  # what failed inside of the library's task groups
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


@pytest.fixture
def open_tools(shared_home: Home) -> Any:
    """tools(*words): a server in the home that this file's tests share."""
    return lambda *words, **options: tools(shared_home, *words, **options)


@pytest.fixture
def open_wire(shared_home: Home) -> Any:
    return lambda *words: wire(shared_home, *words)


@pytest.fixture
def go() -> Any:
    return run


@pytest.fixture
def wire_in() -> Any:
    """wire_in(home, *words): in a home of the test's own."""
    return wire
