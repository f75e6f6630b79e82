"""Every dialect of clients, every dialect of servers, every fault of a provider: a right answer or a right error, one
row with figures that can be, nothing left reserved, no connection left open, and a gateway that goes on.
"""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING

import pytest

from aish.plugins.simprovider.faults import FAULTS
from aish.plugins.simprovider.faults.fault import NONE, Fault
from aish.plugins.simprovider.faults.usage import USAGE
from aish.plugins.simprovider.reply import Reply

from . import strict
from .matrix import BUDGET, BY_NAME, CELLS, CLAUDE, DEADLINE_S, LLAMA, OPENAI, Cell, Client, Matrix, refused

if TYPE_CHECKING:
    import sqlite3

TEXT = "w0 w1 w2 "
FEW = ("chat", "chat-stream", "response-stream", "message", "message-stream", "ollama-stream")
SOME = [(BY_NAME[client], model) for client in FEW for model in (OPENAI, CLAUDE)]
"""One for each way through the gateway."""
FOUR = [
    (BY_NAME[client], model)
    for client, model in (("chat", OPENAI), ("chat-stream", CLAUDE), ("message", OPENAI), ("message-stream", CLAUDE))
]
HEAVY = {
    "deep": (SOME, 24 << 20),
    "deep-late": (SOME, 24 << 20),
    "endless-head": (SOME, 24 << 20),
    "huge-500": (SOME, 24 << 20),
    "endless-line": (SOME, 48 << 20),
    "wide": (FOUR, 160 << 20),
    "huge": (FOUR, 320 << 20),
    "body-endless": (FOUR[2:3], 360 << 20),  # as much as a reply may have is read of it
    "gzip-bomb": (FOUR[1:3], 360 << 20),
}
"""These cost so much that they come one after the other, and not to all: by how much the gateway may grow."""
ALONE = frozenset({"second-reply-late"})
"""It harms who asks in the same moment over the same connection, and nobody can help that."""
AFTERWARDS = ("chat-stream", "message", "response-stream")


# --- what is right --------------------------------------------------------------------------------------------------


def wanted(fault: Fault, client: Client, model: str) -> str:
    if refused(client, model):
        return "error"
    streams = client.stream or (model == LLAMA and not client.embeds)
    return (fault.stream if streams else fault.whole) or "answer"


def judge(matrix: Matrix, name: str, cells: list[Cell]) -> list[str]:
    """Ask all cells with this fault, and tell what is wrong."""
    last = matrix.last_row()
    replies = ask(matrix, name, cells)
    sums, rows, left = matrix.settle(cells), matrix.rows(last), matrix.left(cells)
    found = []
    for cell, (status, headers, body) in zip(cells, replies, strict=True):
        client, model = cell
        try:
            told = judge_reply(name, client, model, status, headers, body)
            own = rows.get(matrix.id(cell), [])
            assert len(own) == 1, f"{len(own)} rows"
            judge_row(name, client, model, own[0], told)
            tokens = sums[matrix.id(cell)].tokens
            assert left[cell] == BUDGET - tokens.input - tokens.output, "something stays reserved"
        except (AssertionError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            what = f"{client.name} at {model}: {type(error).__name__} {str(error)[:300]}"
            found.append(f"{what}\n    {status} {body[:300]!r}")
    return found


def ask(matrix: Matrix, name: str, cells: list[Cell]) -> list[tuple[int, dict[str, str], bytes]]:
    """All at once; but what makes a server rest is told to the first who asks it, and by the gateway to the next."""
    words = f"say 3 fault {name}"
    fault = FAULTS.get(name, NONE)
    if fault.error is None or all(header.lower() != "retry-after" for header, _ in sent_headers(name)):
        return matrix.ask(cells, words)
    replies = []
    for cell in cells:
        matrix.afresh(cell[1])
        replies += matrix.ask([cell], words)
    return replies


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
        assert status == passed[0]
        assert passed[1] in (told.error or "")
        for header, value in sent_headers(name):
            assert headers[header.lower()] == value, "what tells clients whether and when to try again"
    elif told.error is None and not client.embeds:
        extra = FAULTS.get(name, NONE).said is not None and name not in USAGE
        right = "w0 w\ufffd1 w2 " if name == "bad-utf8" else TEXT
        assert told.text.startswith(right) if extra else told.text == right or ends == "either", told.text[:99]
    return told


def sent_headers(name: str) -> list[tuple[str, str]]:
    change = FAULTS[name].reply
    assert change is not None
    return change(Reply([])).headers


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
    if wanted(FAULTS.get(name, NONE), client, model) == "answer":
        assert row["estimated"] == lies, "the mark of an estimate"
    if not row["estimated"] and name != "usage-falling":  # where bytes pass, so do the figures on the way
        assert told.input in (None, row["input"]), (told, figures)
        assert told.output in (None, row["output"]), (told, figures)


def high_bytes(pid: int) -> int:
    """The most memory that it ever had: what costs little comes first, so that it is seen to cost little."""
    with open(f"/proc/{pid}/status", encoding="ascii") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith("VmHWM")) << 10


def judge_all(matrix: Matrix, name: str, cells: list[Cell], *, grows_bytes: int) -> None:
    """Everything that must be so whatever a provider does."""
    gateway = matrix.world.gateway
    logged, low = len(gateway.read_log()), high_bytes(gateway.pid)
    problems = judge(matrix, name, cells)
    assert not problems, f"{len(problems)} of {len(cells)} cells:\n" + "\n".join(problems)
    for server in set(matrix.servers.values()):
        server.wait_for(lambda provider: provider.busy == 0)  # no connection is left at work
    grew = high_bytes(gateway.pid) - low
    assert grew < grows_bytes, f"the gateway grew by {grew >> 20} MiB"
    log = gateway.read_log()[logged:]
    assert "fault:" not in log, log
    matrix.afresh(*{model for _, model in cells})


def judge_afterwards(matrix: Matrix) -> None:
    """Who asks next gets what is right, over the same connections maybe."""
    matrix.afresh()
    problems = judge(matrix, "", [cell for cell in CELLS if cell[0].name in AFTERWARDS])
    assert not problems, "what comes afterwards is harmed:\n" + "\n".join(problems)


LIGHT = [name for name in ("", *FAULTS) if name not in HEAVY and name not in ALONE]
OTHERS = 7
"""Every so many-th client is asked with a fault, with the next fault the next ones: all of them in a while."""


@pytest.mark.parametrize("name", LIGHT)
def test_clients_of_servers_get_a_right_end(matrix: Matrix, name: str) -> None:
    judge_all(matrix, name, CELLS[LIGHT.index(name) % OTHERS :: OTHERS], grows_bytes=24 << 20)
    judge_afterwards(matrix)


@pytest.mark.slow
@pytest.mark.parametrize("name", LIGHT)
def test_every_client_of_every_server_gets_a_right_end(matrix: Matrix, name: str) -> None:
    judge_all(matrix, name, CELLS, grows_bytes=24 << 20)
    judge_afterwards(matrix)


@pytest.mark.parametrize("name", HEAVY)
@pytest.mark.slow
def test_what_is_huge_or_without_end_costs_a_bounded_amount_of_memory(matrix: Matrix, name: str) -> None:
    cells, grows_bytes = HEAVY[name]
    for cell in cells:
        judge_all(matrix, name, [cell], grows_bytes=grows_bytes)
    judge_afterwards(matrix)


@pytest.mark.parametrize("name", sorted(ALONE))
def test_a_reply_that_nobody_asked_for_is_nobody_s(matrix: Matrix, name: str) -> None:
    """It came when the connection was idle."""
    for cell in ((BY_NAME["chat"], OPENAI), (BY_NAME["message-stream"], CLAUDE)):
        judge_all(matrix, name, [cell], grows_bytes=24 << 20)
    judge_afterwards(matrix)


@pytest.mark.slow
def test_a_hundred_thousand_tiny_events_pass(matrix: Matrix) -> None:
    """To who has no budget, and so no limit."""
    client, key = BY_NAME["message-stream"], matrix.world.agent()[1]
    low = high_bytes(matrix.world.gateway.pid)
    asked = json.dumps({**client.body(OPENAI, "say 100000"), "max_tokens": 200_000}).encode()
    request = urllib.request.Request(matrix.world.gateway.url + client.path, asked, {"x-api-key": key})
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as reply:
        told = client.check(reply.read(), OPENAI)
    assert (told.error, told.text.count(" "), told.output) == (None, 100_000, 100_000)
    assert high_bytes(matrix.world.gateway.pid) - low < 24 << 20
