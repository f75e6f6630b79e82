"""All clients and all servers around one gateway, so that each fault of a provider can be seen in each dialect."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from aish.wire.link import Readiness, Settled
from aish.wire.spec import PricePart

from . import strict
from .conftest import World
from .provider import Running

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Coroutine, Iterator

    from .daemon import Daemon

Result = TypeVar("Result")
_LAST = "number = (SELECT max(number) FROM requests WHERE dialect != 'probe')"
BUDGET = 10**9
DEADLINE_S = 60.0
OPENAI, CLAUDE, LLAMA, DIRECT = "gpt", "claude", "llama", "responses"
"""Models: their servers speak OpenAI's dialect, Anthropic's (by way of a proxy), llama.cpp's, and OpenAI's with
responses (by way of a proxy)."""


@dataclass(slots=True, frozen=True)
class Client:
    """How a client asks, and what it takes for right."""

    name: str
    path: str
    check: strict.Check
    stream: bool = False

    def body(self, model: str, words: str) -> dict[str, Any]:
        said = [{"role": "user", "content": words}]
        asked: dict[str, dict[str, Any]] = {
            "/v1/chat/completions": {"messages": said, "stream": self.stream},
            "/v1/completions": {
                "prompt": words, "stream": self.stream,
                **({"stream_options": {"include_usage": True}} if self.stream else {}),
            },
            "/v1/responses": {"input": words, "stream": self.stream},
            "/v1/messages": {"messages": said, "max_tokens": 500, "stream": self.stream},
            "/api/chat": {"messages": said, "stream": self.stream},
            "/api/generate": {"prompt": words, "stream": self.stream},
            "/v1/embeddings": {"input": words},
            "gemini": {"contents": [{"role": "user", "parts": [{"text": words}]}]},
            "/api/embed": {"input": words},
        }  # fmt: skip
        return asked["gemini"] if self.gemini else {"model": model, **asked[self.path]}

    @property
    def gemini(self) -> bool:
        return ":" in self.path

    def url(self, model: str) -> str:
        """Below the gateway's own."""
        named = self.path.replace("/models:", f"/v1beta/models/{model}:")
        return f"{named}?alt=sse" if self.gemini and self.stream else named

    @property
    def embeds(self) -> bool:
        return "embed" in self.path


CLIENTS = (
    Client("chat", "/v1/chat/completions", strict.chat_whole),
    Client("chat-stream", "/v1/chat/completions", strict.chat_stream, stream=True),
    Client("completion", "/v1/completions", strict.completion_whole),
    Client("completion-stream", "/v1/completions", strict.completion_stream, stream=True),
    Client("response", "/v1/responses", strict.response_whole),
    Client("response-stream", "/v1/responses", strict.response_stream, stream=True),
    Client("message", "/v1/messages", strict.message_whole),
    Client("message-stream", "/v1/messages", strict.message_stream, stream=True),
    Client("ollama", "/api/chat", strict.ollama_whole),
    Client("ollama-stream", "/api/chat", strict.ollama_stream, stream=True),
    Client("generate", "/api/generate", strict.ollama_whole),
    Client("generate-stream", "/api/generate", strict.ollama_stream, stream=True),
    Client("content", "/models:generateContent", strict.content_whole),
    Client("content-stream", "/models:streamGenerateContent", strict.content_stream, stream=True),
    Client("embeddings", "/v1/embeddings", strict.embeddings),
    Client("embed", "/api/embed", strict.ollama_embed),
)
BY_NAME = {client.name: client for client in CLIENTS}


def refused(client: Client, model: str) -> bool:
    """What the gateway does not even ask such a server."""
    return model == CLAUDE and (client.embeds or client.path == "/v1/completions")


_PROCESSES = {OPENAI: "p2", CLAUDE: "p3", LLAMA: "p4", DIRECT: "p5"}
Cell = tuple[Client, str]
"""Who asks, and for which model."""
CELLS: list[Cell] = [(client, model) for client in CLIENTS for model in (OPENAI, CLAUDE, LLAMA)]
CELLS += [(BY_NAME["response"], DIRECT), (BY_NAME["response-stream"], DIRECT)]


@dataclass
class Matrix:
    """A gateway between all clients and all servers."""

    world: World
    servers: dict[str, Running]
    keys: dict[tuple[str, str], tuple[str, str]]
    """(client, model) -> (process, key) of the one that asks."""
    asked: dict[str, int]
    """How often each process has."""

    def id(self, cell: Cell) -> str:
        """The process that asks there."""
        return self.keys[cell[0].name, cell[1]][0]

    def ask(self, cells: list[Cell], words: str) -> list[tuple[int, dict[str, str], bytes]]:
        """All of them at once: (status, headers, body) of each."""

        async def one(session: aiohttp.ClientSession, cell: Cell) -> tuple[int, dict[str, str], bytes]:
            client, model = cell
            id, key = self.keys[client.name, model]
            self.asked[id] += 1
            url, body = self.world.gateway.url + client.url(model), client.body(model, words)
            async with session.post(url, json=body, headers={"x-api-key": key}) as reply:
                headers = {name.lower(): value for name, value in reply.headers.items()}
                return reply.status, headers, await reply.read()

        return self._all(cells, one)

    def afresh(self, *models: str) -> None:
        """The servers of these models, or of all, are new to the gateway: nothing that they did is held against them
        (breaker.py)."""
        ids = [_PROCESSES[model] for model in models or _PROCESSES]

        def forgotten(daemon: Daemon) -> bool:
            daemon.heard[:] = [event for event in daemon.heard if not isinstance(event, Readiness)]
            return True

        self.world.daemon.wait_for(forgotten)
        for id in ids:
            self.world.daemon.change(id, alive=False)
            self.world.daemon.change(id, alive=True)
        for id in ids:
            self.world.daemon.ready(id)

    def left(self, cells: list[Cell]) -> dict[Cell, int]:
        """What is left of their budgets."""

        async def one(session: aiohttp.ClientSession, cell: Cell) -> int:
            key = self.keys[cell[0].name, cell[1]][1]
            url = f"{self.world.gateway.url}/v1/aish/usage"
            async with session.get(url, headers={"x-api-key": key}) as reply:
                return int((await reply.json())["left_tokens"])

        return dict(zip(cells, self._all(cells, one), strict=True))

    def _all(
        self, cells: list[Cell], one: Callable[[aiohttp.ClientSession, Cell], Coroutine[object, object, Result]]
    ) -> list[Result]:
        async def all_() -> list[Result]:
            timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
            async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
                return await asyncio.gather(*(one(session, cell) for cell in cells))

        return asyncio.run(all_())

    def settle(self, cells: list[Cell]) -> dict[str, Settled]:
        """Wait until all that was asked is settled: the sums of each process."""
        found: dict[str, Settled] = {}

        def settled(daemon: Daemon) -> bool:
            found.update((event.id, event) for event in daemon.heard if isinstance(event, Settled))
            daemon.heard.clear()
            ids = map(self.id, cells)
            return all(id in found and found[id].tokens.requests >= self.asked[id] for id in ids)

        self.world.daemon.wait_for(settled)
        return found

    def last_row(self) -> int:
        return max(
            (row["number"] for row in self.world.gateway.rows(_LAST)),
            default=0,
        )

    def rows(self, after: int) -> dict[str, list[sqlite3.Row]]:
        """Rows of the records behind that number, by process."""
        found: dict[str, list[sqlite3.Row]] = {}
        for row in self.world.gateway.rows(f"number > {after}"):
            found.setdefault(row["process"], []).append(row)
        return found


@contextlib.contextmanager
def running() -> Iterator[Matrix]:
    root = Path(tempfile.mkdtemp(prefix="aish-g-", dir="/tmp"))
    world = World(root)
    tcp, unix = Running(), Running(engine="llama.cpp", path=f"{root}/llama.sock")
    try:
        world.start()
        base = tcp.url
        behind = {"upstream_name": "sim", "proxy": base.removesuffix("/v1"), "price": PricePart()}
        world.daemon.model("p2", OPENAI, base, upstream_name="sim")
        world.daemon.model("p3", CLAUDE, "http://claude.example", dialect="anthropic", **behind)
        world.daemon.model("p4", LLAMA, unix.url, upstream_name="sim")
        world.daemon.model("p5", DIRECT, "http://api.openai.com/v1", **behind)
        for id in _PROCESSES.values():
            world.daemon.ready(id)
        keys = {(client.name, model): world.agent(budget=BUDGET) for client, model in CELLS}
        servers = {OPENAI: tcp, CLAUDE: tcp, DIRECT: tcp, LLAMA: unix}
        yield Matrix(world, servers, keys, {id: 0 for id, _ in keys.values()})
    finally:
        world.stop()
        for server in (tcp, unix):
            server.stop()
        shutil.rmtree(root, ignore_errors=True)
