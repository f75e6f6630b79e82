"""200 requests at once with enough for 100, while the real daemon, the gateway and agents are killed at random."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import UnavailableError
from aish.wire.message import BudgetQuery, Limit, UsageQuery
from aish.wire.reply import Budgets, Done, UsageTable
from aish.wire.spec import RestartPart, RoutePart

if TYPE_CHECKING:
    from conftest import Supervised

pytestmark = pytest.mark.usefixtures("home")

ENOUGH_FOR, AGENTS, EACH = 100, 8, 25
MODEL = """
import http.server, json, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        self.answer({"object": "list", "data": [{"id": "made-up", "object": "model"}]})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"]
        if asked[-1]["content"] == "work":
            print("asked", flush=True)
            time.sleep(0.02)
        said = {"role": "assistant", "content": "hi"}
        self.answer({"id": "1", "object": "chat.completion", "created": 0, "model": "made-up",
                     "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
                     "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}})
    def log_message(self, *words):
        pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
ASK = """
import json, os, sys, threading, time, urllib.error, urllib.request
body = json.dumps({"model": "made-up", "max_tokens": 5, "messages": [{"role": "user", "content": "work"}]}).encode()
def ask():
    while True:
        request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body,
            {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=100) as reply:
                reply.read()
                return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                os._exit(9)
        except OSError:
            pass
        time.sleep(0.05)
threads = [threading.Thread(target=ask) for _ in range(int(sys.argv[1]))]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def asked(up: Supervised) -> int:
    """How many requests the server has had, by its own count."""
    return up.log("made-up")[0].count("asked\n")


def change(up: Supervised, **budget: str) -> None:
    """Whatever becomes of a gateway that was struck."""

    def done() -> bool:
        with contextlib.suppress(UnavailableError):
            return isinstance(up.client.ask(Done, Limit(target="user", budget=budget)), Done)
        return False

    up.until("the gateway has it", done)


def used(up: Supervised) -> float:
    (line,) = up.client.ask(Budgets, BudgetQuery(target="user")).lines
    assert line.used is not None
    return line.used + line.promised


def held(up: Supervised) -> bool:
    return any(up.row(f"agent-{n}").holds == ["budget"] for n in range(AGENTS))


def strike(up: Supervised, victim: str, order: random.Random) -> None:
    match victim:
        case "daemon":
            up.kill_daemon()
            up.next_daemon()
        case "gateway":
            pid = up.row("gateway").pid
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        case _:
            pid = up.row(f"agent-{order.randrange(AGENTS)}").pid
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 7))])
def test_never_above_nobody_starved_all_accounted(up: Supervised, seed: int) -> None:
    order = random.Random(seed)
    route = RoutePart(url="http://127.0.0.1:{port}/v1")
    up.python(MODEL, "{port}", kind="model", route=route, name="made-up")
    up.wait("made-up", until="ready")
    change(up, **{"requests/day": str(ENOUGH_FOR)})
    again: dict[str, Any] = {"restart": "on-failure", "restarts": RestartPart(delay_s=0.05, most=None)}
    for n in range(AGENTS):
        up.python(ASK, str(EACH), kind="agent", name=f"agent-{n}", **again)
    for _ in range(6):
        least = asked(up) + order.randint(1, 8)
        up.until("some more have asked", lambda least=least: asked(up) >= least or held(up))
        strike(up, order.choice(("gateway", "daemon", "agent")), order)
        assert asked(up) <= ENOUGH_FOR
    up.until("it is spent", lambda: held(up))
    change(up, **{"requests/day": str(ENOUGH_FOR)})  # the gateway is there again
    assert ENOUGH_FOR / 4 < asked(up) <= used(up) <= ENOUGH_FOR
    change(up, **{"requests/day": str(20 * ENOUGH_FOR)})
    for n in range(AGENTS):
        assert up.code(f"agent-{n}") == 0, "all its requests were answered"
    table = up.client.ask(UsageTable, UsageQuery(by="agent"))
    counted = sum(row.tokens.requests for row in table.rows if row.key.startswith("agent-"))
    assert counted >= asked(up) >= AGENTS * EACH
    assert asked(up) <= used(up)
