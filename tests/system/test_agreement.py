"""ps, inspect, top and usage tell the same, and what they tell is what the model server and /proc count."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.deadline import until

from .conftest import NOTES, Proc, Row, proc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.wire.part import ProcessPart, UsageRow

    from .conftest import System

SAME = (
    "id", "name", "kind", "state", "lifecycle", "ready", "holds", "activity", "parent", "pid", "argv", "created_s",
    "started_s", "ended_s", "exit", "reason", "doing", "restarts", "vram_bytes", "vram_quota_bytes", "gpus", "tokens",
    "budget_tokens", "model",
)  # fmt: skip
"""Of a process that does nothing at the moment, these do not change from one view to the next."""
RSS_SLACK_BYTES = 2 << 20
"""Beside the range of what /proc says before and after: the kernel counts pages per CPU and adds them up at times."""
CPU_SLACK_S = 0.5
"""A view may show a sample of 0.2 s ago, in which two cores can have worked."""
START_SLACK_S = 1.0
"""/proc counts ticks since boot; the daemon notes the wall clock."""


class Views:
    """Every view once, with /proc before and after."""

    def __init__(self, system: System) -> None:
        pids = [row["pid"] for row in system.ps().values() if row["pid"] and row["lifecycle"] == "running"]
        self.before = {pid: proc(pid) for pid in pids}
        self.ps = system.ps()
        self.top: dict[str, Any] = json.loads(system.run("top", "--once", "--json", "--all").stdout)
        self.inspected = {id: system.json("inspect", id) for id in self.ps}
        self.usage = {by: system.usage(by) for by in ("process", "agent", "model")}
        self.after = {pid: proc(pid) for pid in pids}

    def named(self, name: str) -> Row:
        (row,) = (row for row in self.ps.values() if row["name"] == name)
        return row


def agree(system: System) -> Views:
    """All views of a system at rest, after every check that holds for any of them."""
    until("everything is settled", lambda: at_rest(system))
    views = Views(system)
    by_top = {row["id"]: row for row in views.top["processes"]}
    assert by_top.keys() == views.ps.keys()
    for id, row in views.ps.items():
        for other in (by_top[id], views.inspected[id]["process"]):
            assert {key: other[key] for key in SAME} == {key: row[key] for key in SAME}
            if row["lifecycle"] == "running":
                matches_proc(other, views)
        if row["lifecycle"] == "running":
            matches_proc(row, views)
        else:
            assert proc(row["pid"]) is None or proc(row["pid"]).start_s > row["ended_s"] - START_SLACK_S  # type: ignore[union-attr]
            assert (row["cpu_percent"], row["rss_bytes"]) == (None, None)
    without_all = json.loads(system.run("top", "--once", "--json").stdout)["processes"]
    assert [row["id"] for row in without_all] == [row["id"] for row in system.json("ps")]
    the_machine(views)
    sums_agree(views)
    return views


def at_rest(system: System) -> bool:
    """Nothing generates, and the daemon has been told of all that the gateway settled."""
    client = system.home.client
    rows = client.processes(all=True)
    models = {row.id for row in rows if row.kind == "model"}
    told = counted(row for row in rows if row.id not in models), counted(row for row in rows if row.id in models)
    used = counted(row for row in client.usage(by="process") if row.key not in models)
    return told == (used, counted(client.usage(by="model"))) and not any(
        row.activity in ("generating", "queued") for row in rows
    )


def counted(rows: Iterable[ProcessPart | UsageRow]) -> list[int]:
    """Tokens of many rows, added up field by field."""
    found = [row.tokens for row in rows if row.tokens]
    return [sum(getattr(tokens, name) for tokens in found) for name in ("input", "output", "requests", "estimated")]


def matches_proc(row: Row, views: Views) -> None:
    """RSS, CPU seconds, state, start and parent of a living process, against the kernel's own figures."""
    before, after = views.before[row["pid"]], views.after[row["pid"]]
    assert before is not None
    assert after is not None
    low, high = sorted((before.rss_bytes, after.rss_bytes))
    assert low - RSS_SLACK_BYTES <= row["rss_bytes"] <= high + RSS_SLACK_BYTES, row["name"]
    assert before.cpu_s - CPU_SLACK_S <= row["cpu_seconds"] <= after.cpu_s, row["name"]
    assert (before.state == "T") == (row["state"] == "paused"), row["name"]
    assert abs(after.start_s - row["started_s"]) < START_SLACK_S, row["name"]
    assert after.parent == holder_of(views).pid, "every supervised process is the holder's child"


class Holder(Proc):
    pid: int


def holder_of(views: Views) -> Any:
    """The daemon's parent."""
    daemon = proc(views.top["daemon_pid"])
    assert daemon is not None
    found = Holder(*(proc(daemon.parent) or ()))
    found.pid = daemon.parent
    return found


def the_machine(views: Views) -> None:
    top = views.top
    with open("/proc/meminfo", encoding="ascii") as file:
        sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in file)}
    assert top["memory_total_bytes"] == sizes["MemTotal"]
    assert 0 < top["memory_used_bytes"] < sizes["MemTotal"]
    assert top["host"] == socket.gethostname()
    with open(f"/proc/{top['daemon_pid']}/cmdline", "rb") as file:
        assert b"aish.supervisor.daemon" in file.read()


def total(tokens: Row) -> int:
    return int(tokens["input"]) + int(tokens["output"])


def added(rows: Any) -> Row:
    """Tokens of many rows, added up field by field."""
    names = ("input", "output", "requests", "estimated", "cached", "reasoning", "cost_usd", "unpriced", "observed")
    found = [row["tokens"] for row in rows if row["tokens"]]
    return {name: sum(tokens[name] for tokens in found) for name in names}


def sums_agree(views: Views) -> None:
    """The usage table by process is ps; by agent and by model it is the same records, grouped. A model's row in ps is
    what it did for all who asked it; in the table by process it has only what it asked itself, in its probes."""
    by_process, rows = views.usage["process"], views.ps
    models = {id: row for id, row in rows.items() if row["kind"] == "model"}
    spent = {id: row["tokens"] for id, row in rows.items() if row["tokens"] and row["tokens"]["requests"]}
    used = {id: row["tokens"] for id, row in by_process.items()}
    assert {id: tokens for id, tokens in used.items() if id not in models} == {
        id: tokens for id, tokens in spent.items() if id not in models
    }
    for name, row in views.usage["model"].items():
        assert row["tokens"] == added(model for model in models.values() if model["name"] == name)
    assert added(views.usage["model"].values()) == added(by_process.values())
    for id, row in by_process.items():
        assert row["name"] == rows[id]["name"]
    agents: dict[str, list[Row]] = {}
    for row in rows.values():
        if row["id"] in spent:
            spec = views.inspected[row["id"]]["spec"]
            name = spec["name"] if row["kind"] == "agent" else row["name"]  # an agent's without the -2 of ps
            agents.setdefault(name, []).append(by_process[row["id"]])
    assert {name: row["tokens"] for name, row in views.usage["agent"].items()} == {
        name: added(found) for name, found in agents.items()
    }


def server_agrees(system: System, views: Views) -> None:
    """Exactly: as long as every request of the model came to its end."""
    tokens = views.named("smollm2")["tokens"]
    assert tokens == views.usage["model"]["smollm2"]["tokens"]
    assert (tokens["input"], tokens["output"]) == system.counted()
    assert tokens["estimated"] == 0


# --------------------------------------------------------------------------------------------------- with the model
# Those whose requests all come to their end have one server, and nothing is forgotten between them: each sees the
# sums of those before it, too. No two ask the same agent.


@pytest.mark.model
def test_one_agent(module_serving: System) -> None:
    done = module_serving.shell("cat cello-bridge.md | @summarise")
    assert done.stdout.strip()
    views = agree(module_serving)
    server_agrees(module_serving, views)
    agent, model = views.named("summarise"), views.named("smollm2")
    assert (agent["kind"], agent["state"], agent["model"]) == ("agent", "exited", "default")
    assert agent["tokens"]["requests"] == 1
    assert agent["tokens"]["output"] > 5
    assert model["state"] == "ready"
    used = views.usage["agent"]["summarise"]
    assert 0 < used["first_token_s"] < used["seconds"] <= agent["ended_s"] - agent["started_s"]
    assert used["model"] == "smollm2"


@pytest.mark.model
@pytest.mark.slow
def test_two_agents_in_parallel(module_serving: System) -> None:
    out, began_s = module_serving.home.root, time.time()
    module_serving.agent("gist", 60, "You tell in one sentence what the text is about.")
    module_serving.shell(
        f"cat cello-bridge.md | @title > {out}/a & cat headset-creak.md | @title > {out}/b & "
        "cat cello-bridge.md | @gist > /dev/null & wait"
    )
    assert (out / "a").read_text().strip()
    assert (out / "a").read_text() != (out / "b").read_text()
    views = agree(module_serving)
    server_agrees(module_serving, views)
    agents = [row for row in views.ps.values() if row["kind"] == "agent" and row["created_s"] >= began_s]
    assert len(agents) == 3
    assert max(row["started_s"] for row in agents) < min(row["ended_s"] for row in agents), "one after the other"
    assert views.usage["agent"]["title"]["tokens"]["requests"] == 2


@pytest.mark.model
@pytest.mark.slow
def test_a_stream_that_is_cut_is_estimated_and_says_so(serving: System) -> None:
    """The server never told what it used: near the truth, marked, and the same in every view."""
    exact = sum(serving.counted())
    serving.run("spawn", "--name", "cut", "--", "@smollm2", "Tell a long story about a river and its town.")
    until("the answer has begun", lambda: len(serving.log("cut")) > 20)
    serving.run("kill", "-9", "cut")
    serving.run("wait", "cut", status=137)
    until("the server has given it up", serving.slots_are_free)
    until("it is settled", lambda: serving.settled("cut"))
    views = agree(serving)
    tokens = views.named("cut")["tokens"]
    assert tokens["requests"] == 1
    assert tokens["estimated"] == total(tokens) > 0
    assert views.usage["model"]["smollm2"]["tokens"]["estimated"] == total(tokens)
    worked = sum(serving.counted()) - exact
    assert abs(total(tokens) - worked) <= 16, "what the server did beyond what was streamed, and no more"
    assert "estimated" in serving.run("inspect", "cut").stdout


@pytest.mark.model
@pytest.mark.slow
def test_embeddings(module_serving: System) -> None:
    out = module_serving.home.root / "out.safetensors"
    notes = [str(NOTES / "cello-bridge.md")]
    module_serving.run(
        "run", "--name", "embeds", "--", module_serving.python, "-m", "aish", "embed", *notes, "-o", str(out)
    )
    assert out.stat().st_size > 576 * 4, "a vector of the model's width"
    views = agree(module_serving)
    server_agrees(module_serving, views)
    row = views.named("embeds")
    assert (row["kind"], row["tokens"]["output"]) == ("command", 0)
    assert row["tokens"]["input"] > 100
    assert views.usage["agent"]["embeds"]["tokens"] == row["tokens"], "no agent, but not left out"


# ---------------------------------------------------------------------------------------------------------- /proc

BURN = """
import os, signal, time
block = bytearray(os.urandom(1 << 20)) * 64
child = os.fork()
while time.process_time() < (0.2 if child else 0.1):
    pass
if child:
    os.write(1, b"burnt\\n")
signal.pause()
"""

NEST = """
import signal, subprocess, sys
subprocess.run([sys.executable, "-m", "aish", "spawn", "--name", "inner", "--", "sleep", "62"], check=True)
signal.pause()
"""


def test_resources_and_places_are_those_of_proc(system: System) -> None:
    """CPU and memory with those of children, who is whose parent, who stands still: of a tree without a model."""
    system.run("spawn", "--name", "burner", "--", system.python, "-I", "-S", "-c", BURN)
    system.run("spawn", "--name", "outer", "--", system.python, "-c", NEST)
    system.run("spawn", "--name", "still", "--", "sleep", "62")
    system.run("spawn", "--name", "over", "--", "sh", "-c", "exit 3")
    system.run("pause", "still")
    system.run("wait", "over", status=3)
    until("the tree stands", lambda: "inner" in {row.name for row in system.home.client.processes()})
    burner = system.row("burner")["pid"]
    child = int((open(f"/proc/{burner}/task/{burner}/children")).read())  # noqa: SIM115

    def burnt_s() -> float:
        return sum(found.cpu_s for pid in (burner, child) if (found := proc(pid)) is not None)

    until("it has burnt", lambda: burnt_s() >= 0.28 and list(system.home.client.logs("burner")))
    until("to the tick", lambda: abs((system.look("burner").cpu_seconds or 0) - burnt_s()) < 1e-6)
    rows = {row["name"]: row for row in system.ps().values()}
    both_bytes = sum(found.rss_bytes for pid in (burner, child) if (found := proc(pid)) is not None)
    assert abs(rows["burner"]["rss_bytes"] - both_bytes) <= RSS_SLACK_BYTES
    assert both_bytes > 64 << 20
    system.run("kill", "-9", "burner")  # alone it is compared; the rest one process each
    system.run("wait", "burner", status=137)
    views = agree(system)
    outer, inner = views.named("outer"), views.named("inner")
    assert inner["parent"] == outer["id"]
    assert views.inspected[outer["id"]]["children"] == [inner["id"]]
    assert (outer["parent"], views.named("still")["parent"]) == (None, None)
    assert views.named("still")["state"] == "paused"
    assert views.named("over")["exit"] == {"code": 3, "signal": None, "reason": None}
    assert os.getpgid(inner["pid"]) == inner["pid"], "a group of its own"
