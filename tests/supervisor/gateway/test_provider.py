"""Every dialect of clients, every dialect of servers, every fault of a provider: a right answer or a right error, one
row with figures that can be, nothing left reserved, no connection left open, and a gateway that goes on.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from aish.plugins.simprovider.faults import FAULTS
from aish.plugins.simprovider.faults.fault import NONE, Fault
from aish.plugins.simprovider.faults.usage import USAGE
from aish.wire.link import Settled
from aish.wire.spec import PricePart

from . import strict
from .conftest import World
from .provider import Running

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

BUDGET = 10**9
DEADLINE_S = 60.0
TEXT = "w0 w1 w2 "
OPENAI, CLAUDE, LLAMA, DIRECT = "gpt", "claude", "llama", "responses"
"""Models: their servers speak OpenAI's dialect, Anthropic's, llama.cpp's, and OpenAI's with responses."""


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
            "/api/embed": {"input": words},
        }  # fmt: skip
        return {"model": model, **asked[self.path]}

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
    Client("embeddings", "/v1/embeddings", strict.embeddings),
    Client("embed", "/api/embed", strict.ollama_embed),
)
BY_NAME = {client.name: client for client in CLIENTS}


def refused(client: Client, model: str) -> bool:
    """What the gateway does not even ask such a server."""
    return model == CLAUDE and (client.embeds or client.path == "/v1/completions")


CELLS = [(client, model) for client in CLIENTS for model in (OPENAI, CLAUDE, LLAMA)]
CELLS += [(BY_NAME["response"], DIRECT), (BY_NAME["response-stream"], DIRECT)]
HEAVY = frozenset(
    {"huge", "wide", "deep", "deep-late", "endless-line", "body-endless", "gzip-bomb", "huge-500", "endless-head"}
)
"""These cost so much that they come one after the other, to one client for each way through the gateway."""
FEW = ("chat", "chat-stream", "response-stream", "message", "message-stream", "ollama-stream")

AFTERWARDS = ("chat-stream", "message", "response-stream")


@dataclass
class Matrix:
    """A gateway between all clients and all servers."""

    world: World
    servers: dict[str, Running]
    keys: dict[tuple[str, str], tuple[str, str]]
    """(client, model) -> (process, key) of the one that asks."""
    asked: dict[str, int]
    """How often each process has."""

    def ask(self, cells: list[tuple[Client, str]], words: str) -> list[tuple[int, dict[str, str], bytes]]:
        """All of them at once: (status, headers, body) of each."""
        return asyncio.run(self._ask(cells, words))

    async def _ask(self, cells: list[tuple[Client, str]], words: str) -> list[tuple[int, dict[str, str], bytes]]:
        timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
            return await asyncio.gather(*(self._one(session, *cell, words) for cell in cells))

    async def _one(
        self, session: aiohttp.ClientSession, client: Client, model: str, words: str
    ) -> tuple[int, dict[str, str], bytes]:
        id, key = self.keys[client.name, model]
        self.asked[id] += 1
        url = self.world.gateway.url + client.path
        async with session.post(url, json=client.body(model, words), headers={"x-api-key": key}) as reply:
            return reply.status, {name.lower(): value for name, value in reply.headers.items()}, await reply.read()

    def settle(self, cells: list[tuple[Client, str]]) -> dict[str, Settled]:
        """Wait until all that was asked is settled: the sums of each process."""
        ids = [self.keys[client.name, model][0] for client, model in cells]
        found: dict[str, Settled] = {}

        def settled(daemon: Any) -> bool:
            found.update((event.id, event) for event in daemon.heard if isinstance(event, Settled))
            daemon.heard.clear()
            return all(id in found and found[id].tokens.requests >= self.asked[id] for id in ids)

        self.world.daemon.wait_for(settled)
        return found

    def rows(self, id: str) -> list[sqlite3.Row]:
        return self.world.gateway.rows(f"process = '{id}'")

    def left(self, client: Client, model: str) -> int:
        status, told, _ = self.world.gateway.call("/v1/aish/usage", key=self.keys[client.name, model][1])
        assert status == 200
        return int(told["left_tokens"])


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    root = Path(tempfile.mkdtemp(prefix="aish-g-", dir="/tmp"))
    world = World(root)
    tcp, unix = Running(), Running(engine="llama.cpp", path=f"{root}/llama.sock")
    try:
        world.start()
        base = tcp.url
        world.daemon.model("p2", OPENAI, base, upstream_name="sim")
        world.daemon.model("p3", CLAUDE, base, upstream_name="sim", dialect="anthropic")
        world.daemon.model("p4", LLAMA, unix.url, upstream_name="sim")
        world.daemon.model(
            "p5", DIRECT, "http://api.openai.com/v1", upstream_name="sim", proxy=base.removesuffix("/v1"),
            price=PricePart(),
        )  # fmt: skip
        for id in ("p2", "p3", "p4", "p5"):
            world.daemon.ready(id)
        keys = {(client.name, model): world.agent(budget=BUDGET) for client, model in CELLS}
        servers = {OPENAI: tcp, CLAUDE: tcp, DIRECT: tcp, LLAMA: unix}
        yield Matrix(world, servers, keys, {id: 0 for id, _ in keys.values()})
    finally:
        world.stop()
        for server in (tcp, unix):
            server.stop()
        shutil.rmtree(root, ignore_errors=True)


# --- what is right --------------------------------------------------------------------------------------------------


def wanted(fault: Fault, client: Client, model: str) -> str:
    if refused(client, model):
        return "error"
    streams = client.stream or (model == LLAMA and not client.embeds)
    return (fault.stream if streams else fault.whole) or "answer"


def judge(matrix: Matrix, name: str, cells: list[tuple[Client, str]]) -> list[str]:
    """Ask all cells with this fault, and tell what is wrong."""
    before = {cell: len(matrix.rows(matrix.keys[cell[0].name, cell[1]][0])) for cell in cells}
    replies = matrix.ask(cells, f"say 3 fault {name}")
    sums = matrix.settle(cells)
    found = []
    for (client, model), reply in zip(cells, replies, strict=True):
        try:
            told = judge_reply(name, client, model, *reply)
            id = matrix.keys[client.name, model][0]
            rows = matrix.rows(id)[before[client, model] :]
            assert len(rows) == 1, f"{len(rows)} rows"
            judge_row(name, client, model, rows[0], told)
            tokens = sums[id].tokens
            assert matrix.left(client, model) == BUDGET - tokens.input - tokens.output, "something stays reserved"
        except (AssertionError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            status, headers, body = reply
            found.append(f"{client.name} at {model}: {type(error).__name__} {str(error)[:300]}\n    {status} {body[:300]!r}")
    return found


def judge_reply(
    name: str, client: Client, model: str, status: int, headers: dict[str, str], body: bytes
) -> strict.Told:
    ends = wanted(FAULTS.get(name, NONE), client, model)
    kind = headers["content-type"].partition(";")[0]
    if status != 200:
        assert kind == "application/json", kind
        told = BY_NAME[client.name.removesuffix("-stream")].check(body, model)
        assert told.error is not None
    else:
        streamed = "application/x-ndjson" if "/api/" in client.path else "text/event-stream"
        assert kind == (streamed if client.stream else "application/json"), kind
        told = client.check(body, model)
    assert ends == "either" or (told.error is not None) == (ends == "error"), (ends, told)
    if refused(client, model):
        assert status == 400
    elif (passed := FAULTS.get(name, NONE).error) is not None:
        assert status == passed[0] and passed[1] in (told.error or ""), (status, told)
        for header, value in FAULTS[name].reply(strict_reply()).headers:  # type: ignore[misc]
            assert headers[header.lower()] == value
    elif told.error is None and not client.embeds:
        extra = FAULTS.get(name, NONE).said is not None and name not in USAGE
        right = "w0 w\ufffd1 w2 " if name == "bad-utf8" else TEXT
        assert told.text.startswith(right) if extra else told.text == right or ends == "either", told.text[:99]
    return told


def strict_reply() -> Any:
    from aish.plugins.simprovider.reply import Reply

    return Reply([])


def judge_row(name: str, client: Client, model: str, row: sqlite3.Row, told: strict.Told) -> None:
    figures = (row["input"], row["output"], row["cached"], row["written"], row["reasoning"])
    assert all(isinstance(figure, int) and 0 <= figure < 1 << 30 for figure in figures), figures
    assert row["model"] == model
    assert row["endpoint"] == client.path.removeprefix("/v1")
    if refused(client, model) or FAULTS.get(name, NONE).error is not None:
        assert (*figures[:2], row["estimated"]) == (0, 0, 0), (figures, "nothing was used")
    if told.error is not None:
        assert row["status"] >= 400, row["status"]
        return
    assert row["status"] == 200, row["status"]
    assert row["input"] > 0
    lies = name in USAGE and name != "usage-falling"
    assert row["estimated"] == (lies and wanted(FAULTS[name], client, model) == "answer"), "the mark of an estimate"
    if not row["estimated"] and name != "usage-falling":  # where bytes pass, so do the figures on the way
        assert told.input in (None, row["input"]), (told, figures)
        assert told.output in (None, row["output"]), (told, figures)


def high_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith("VmHWM")) << 10


def begin_measuring(pid: int) -> int:
    """Have the kernel take the high-water mark anew: what it is now."""
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as stream:
        stream.write("5")
    return high_bytes(pid)


def judge_all(matrix: Matrix, name: str, cells: list[tuple[Client, str]], *, grows_bytes: int) -> None:
    gateway = matrix.world.gateway
    pid, logged, low = gateway.pid, len(gateway.read_log()), begin_measuring(gateway.pid)
    problems = judge(matrix, name, cells)
    assert not problems, f"{len(problems)} of {len(cells)} cells:\n" + "\n".join(problems)
    for server in set(matrix.servers.values()):
        server.wait_for(lambda provider: provider.busy == 0)
    grew = high_bytes(pid) - low
    assert grew < grows_bytes, f"the gateway grew by {grew >> 20} MiB"
    assert gateway.process is not None and gateway.process.poll() is None, "the gateway lives"
    log = gateway.read_log()[logged:]
    assert "fault:" not in log and "Error in" not in log, log
    again = judge(matrix, "", [cell for cell in CELLS if cell[0].name in AFTERWARDS])
    assert not again, "what comes afterwards is harmed:\n" + "\n".join(again)


@pytest.mark.parametrize("name", [name for name in ("", *FAULTS) if name not in HEAVY])
def test_every_client_of_every_server_gets_a_right_end(matrix: Matrix, name: str) -> None:
    judge_all(matrix, name, CELLS, grows_bytes=24 << 20)
