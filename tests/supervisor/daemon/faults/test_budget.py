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
from aish.wire.spec import RestartPart

if TYPE_CHECKING:
    from conftest import Supervised

pytestmark = pytest.mark.usefixtures("home")

ENOUGH_FOR, AGENTS, EACH = 100, 8, 25
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
    up.serve("--work-s", "0.02")
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
