"""A program that asks its vendor by itself, observed on the whole way: its log, the daemon, the gateway, ps."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import launch
from aish.errors import InputError
from aish.wire.message import Limit, Start, Stop, UsageQuery, Why
from aish.wire.reply import Done, Explained, UsageTable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Supervised

    from aish.wire.part import ProcessPart, TokensPart

CODEX = """
import ctypes, datetime, json, os, sys, time
home, script = os.environ["CODEX_HOME"], sys.argv[1:]
if "hidden" in script:
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE, as its releases do
day = os.path.join(home, "sessions", "2026", "09", "21")
os.makedirs(day, exist_ok=True)
name = script[script.index("resume") + 1] if "resume" in script else "s-%d" % os.getpid()
path = os.path.join(day, "rollout-2026-09-21T10-00-00-%s.jsonl" % name)
fresh = not os.path.exists(path)
log = open(path, "a", buffering=1)
def write(type, payload):
    stamp = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    log.write(json.dumps({"timestamp": stamp, "type": type, "payload": payload}) + "\\n")
    if "closes" in script:
        log.flush()
if fresh:
    write("session_meta", {"id": name, "cwd": os.getcwd(), "timestamp":
        datetime.datetime.now(datetime.timezone.utc).isoformat()})
write("turn_context", {"model": "gpt-6"})
total = [0, 0]
if not fresh:
    for line in open(path):
        record = json.loads(line)
        info = record["payload"].get("info") if record["type"] == "event_msg" else None
        if info:
            total = [info["total_token_usage"][key] for key in ("input_tokens", "output_tokens")]
def usage(read, wrote):
    return {"input_tokens": read, "output_tokens": wrote, "cached_input_tokens": 0, "reasoning_output_tokens": 0}
def answer(read, wrote):
    total[0] += read; total[1] += wrote
    write("event_msg", {"type": "token_count",
        "info": {"total_token_usage": usage(*total), "last_token_usage": usage(read, wrote)},
        "rate_limits": {"limit_id": "codex", "primary": {"used_percent": 12.0, "window_minutes": 300,
            "resets_at": time.time() + 3600}}})
answer(100, 10)
print("answered", flush=True)
if "quick" not in script:
    for line in sys.stdin if "asks" in script else iter(lambda: time.sleep(0.2) or "", None):
        answer(100, 10)
        print("answered", flush=True)
"""


@pytest.fixture
def codex(up: Supervised, tmp_path: Path) -> Any:
    program = tmp_path / "codex.py"
    program.write_text(CODEX)
    environ = {**os.environ, "CODEX_HOME": str(tmp_path / "codex-home")}

    def start(*script: str, **fields: Any) -> Any:
        fields = {"observe": "codex", "name": "codex", **fields}
        return up.spawn(sys.executable, str(program), *script, environ=environ, **fields)

    return start


def row_when(up: Supervised, id: str, holds: Callable[[ProcessPart], bool]) -> ProcessPart:
    """Its row once that holds."""
    up.until(f"{id} is as it should be", lambda: holds(up.row(id)))
    return up.row(id)


def counted(up: Supervised, id: str, requests: int) -> TokensPart:
    """What it has used once so many requests are counted."""
    found = row_when(up, id, lambda row: row.tokens is not None and row.tokens.requests >= requests).tokens
    assert found is not None
    return found


def logged(tmp_path: Path) -> tuple[int, int]:
    """The last totals in all logs."""
    read = wrote = 0
    for path in (tmp_path / "codex-home").rglob("rollout-*.jsonl"):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        last = [each["payload"]["info"] for each in records if each["type"] == "event_msg"][-1]["total_token_usage"]
        read, wrote = read + last["input_tokens"], wrote + last["output_tokens"]
    return read, wrote


def stop(up: Supervised, id: str) -> None:
    up.client.ask(Done, Stop(target=id, grace_s=0))
    up.wait(id)


@pytest.mark.parametrize("way", ["open", "hidden"])
def test_what_it_writes_down_is_its_usage_and_ps_says_how_it_is_known(
    up: Supervised, codex: Any, tmp_path: Path, way: str
) -> None:
    """Found by its open files, and, as Codex's releases hide these from all but root, by its log's head."""
    started = codex(way)
    counted(up, started.id, 2)
    assert up.row(started.id).observe == "codex"
    stop(up, started.id)
    read, wrote = logged(tmp_path)
    total = counted(up, started.id, read // 100)
    assert (total.input, total.output, total.observed, total.estimated) == (read, wrote, read + wrote, 0)
    table = up.client.ask(UsageTable, UsageQuery(by="process"))
    (used,) = [row for row in table.rows if row.key == started.id]
    assert (used.tokens.observed, used.model) == (read + wrote, "gpt-6")
    assert "observed" in [event.kind for event in up.events() if event.process == started.id]


def test_one_that_ends_at_once_is_not_missed(up: Supervised, codex: Any) -> None:
    started = codex("quick")
    assert up.code(started.id) == 0
    total = counted(up, started.id, 1)
    assert (total.input, total.output) == (100, 10)


def test_a_session_that_goes_on_is_not_counted_twice(up: Supervised, codex: Any, tmp_path: Path) -> None:
    first = codex("quick")
    assert up.code(first.id) == 0
    counted(up, first.id, 1)
    (path,) = (tmp_path / "codex-home").rglob("rollout-*.jsonl")
    name = path.stem.removeprefix("rollout-2026-09-21T10-00-00-")
    second = codex("resume", name, "quick", name="again")
    assert up.code(second.id) == 0
    total = counted(up, second.id, 1)
    assert (total.input, total.requests) == (100, 1)
    assert logged(tmp_path) == (200, 20)


def test_started_again_it_goes_on_counting(up: Supervised, codex: Any, tmp_path: Path) -> None:
    started = codex("quick")
    assert up.code(started.id) == 0
    counted(up, started.id, 1)
    environ = {**os.environ, "CODEX_HOME": str(tmp_path / "codex-home")}
    up.client.ask(Done, Start(target=started.id, launch=launch.capture(environ)))
    assert up.code(started.id) == 0
    assert counted(up, started.id, 2).input == 200


def test_at_its_budget_it_stands_still_until_that_is_raised(up: Supervised, codex: Any) -> None:
    started = codex("open", budget_tokens=300)
    row = row_when(up, started.id, lambda row: row.holds == ["budget"])
    assert row.state == "over-budget"
    assert row.pid is not None
    up.until("it stands still", lambda: _state(row.pid or 0) == "T")
    log = up.log(started.id)[0]
    assert up.client.ask(Explained, Why(target=started.id)).paragraph.startswith("codex")
    up.client.ask(Done, Limit(target=started.id, tokens="+1M"))
    row_when(up, started.id, lambda row: row.holds == [])
    up.until("it goes on", lambda: len(up.log(started.id)[0]) > len(log))


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


@pytest.mark.usefixtures("home")
def test_kill_9_of_daemon_and_gateway_loses_nothing(up: Supervised, codex: Any, tmp_path: Path) -> None:
    started = codex("open")
    counted(up, started.id, 1)
    for _ in range(2):
        (gateway,) = [row for row in up.view(all=True).processes if row.name == "gateway"]
        os.kill(gateway.pid or 0, signal.SIGKILL)
        up.kill_daemon()
        up.next_daemon()
    stop(up, started.id)
    read, wrote = logged(tmp_path)
    total = counted(up, started.id, read // 100)
    assert (total.input, total.output) == (read, wrote)


def test_one_without_a_log_says_that_nobody_knows(up: Supervised, tmp_path: Path) -> None:
    started = up.spawn("true", observe="codex", environ={**os.environ, "CODEX_HOME": str(tmp_path)})
    assert up.code(started.id) == 0
    told = [""]

    def said() -> bool:
        told[:] = [event.text for event in up.events() if event.kind == "unobserved"]
        return bool(told)

    up.until("it says so", said)
    assert "not known" in told[0]
    assert up.row(started.id).tokens is None


def test_only_what_runs_something_is_observed(up: Supervised) -> None:
    with pytest.raises(InputError):
        up.spawn("true", observe="claude")
    with pytest.raises(InputError):
        up.spawn("true", when_reserved="models:x")
