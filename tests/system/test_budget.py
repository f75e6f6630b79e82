"""A budget holds a program that knows nothing of aish, lets it go on when it is raised, and nobody lifts his own."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.deadline import until

if TYPE_CHECKING:
    from .conftest import Row, System

BUDGET = 200
REQUESTS = 8

LOOP = """
import json, sys
import openai

sdk = openai.OpenAI(max_retries=0)  # address and key come from the environment
used = 0
for number in range(int(sys.argv[1])):
    answer = sdk.chat.completions.create(
        model="default",
        messages=[{"role": "user", "content": f"Tell me about the river number {number}."}],
        max_tokens=16,
    )
    used += answer.usage.total_tokens
    print(json.dumps({"request": number, "used": used}), flush=True)
"""


def used(row: Row) -> int:
    tokens = row["tokens"] or {"input": 0, "output": 0}
    return int(tokens["input"]) + int(tokens["output"])


@pytest.mark.model
def test_a_program_is_held_at_its_budget_and_goes_on_when_it_is_raised(shared_serving: System) -> None:
    before = sum(shared_serving.counted())
    command = (shared_serving.python, "-c", LOOP, str(REQUESTS))
    shared_serving.run("spawn", "--kind", "agent", "--name", "loop", "--budget", str(BUDGET), "--", *command)
    until("it is held", lambda: shared_serving.look("loop").state == "over-budget")
    row = shared_serving.row("loop")
    assert (row["holds"], row["lifecycle"], row["budget_tokens"]) == (["budget"], "running", BUDGET)
    assert 0 < used(row) <= BUDGET
    assert sum(shared_serving.counted()) - before <= BUDGET, "by the server's own count"
    line = next(line for line in shared_serving.run("ps").stdout.splitlines() if " loop " in line)
    assert "over-budget" in line
    _, spent, reason = line.partition(f"{used(row)}/{BUDGET}")
    assert spent
    assert f"over budget: {BUDGET} tokens" in reason
    (held,) = (event for event in shared_serving.events("loop") if event["kind"] == "held")
    assert held["detail"] == {"owner": row["id"], "what": "tokens", "used": used(row), "budget": BUDGET}
    told = shared_serving.log("loop").splitlines()
    assert json.loads(told[-1])["used"] == used(row)
    stands_still(shared_serving, before)

    shared_serving.run("limit", "loop", "tokens=+50k")
    shared_serving.run("wait", "loop")
    assert shared_serving.row("loop")["budget_tokens"] == BUDGET + 50_000
    last = json.loads(shared_serving.log("loop").splitlines()[-1])
    assert last["request"] == REQUESTS - 1
    until("all is settled", lambda: shared_serving.settled("loop") == REQUESTS)
    row = shared_serving.row("loop")
    assert used(row) == last["used"] == sum(shared_serving.counted()) - before > BUDGET
    kinds = [event["kind"] for event in shared_serving.events("loop")]
    assert kinds.index("held") < kinds.index("released") < kinds.index("exited")
    assert (row["state"], row["holds"], row["reason"]) == ("exited", [], None)


@pytest.mark.model
def test_an_answer_that_the_budget_cut_is_not_taken_for_a_whole_one(shared_serving: System) -> None:
    """It was status 0, and 'the context is full'. The model is sampled: now and then it has said all in time."""
    for number in range(2, 10):
        words = ("run", "--budget", "60", "@smollm2")
        done = shared_serving.home.aish(*words, input=f"Tell me a long story of {number} ships")
        if done.returncode != 0:
            break
    assert done.returncode == 75
    assert done.stdout.strip()
    assert "the answer was cut off: its budget of 60 tokens is spent" in done.stderr


@pytest.mark.model
def test_a_paused_model_is_told_to_who_asks_it(shared_serving: System) -> None:
    """The answer came never, and nothing said why."""
    shared_serving.run("pause", "smollm2")
    asker = shared_serving.home.popen(
        "run", "@smollm2", "hi", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert asker.stderr is not None
    assert asker.stdout is not None
    with asker.stderr, asker.stdout:
        assert asker.stderr.readline() == b"@smollm2: smollm2 is paused: aish cont smollm2\n"
        shared_serving.run("cont", "smollm2")
        assert asker.stdout.read(1), "it is answered"  # to its end it may take long: a small model rambles
        asker.terminate()
        asker.wait(30)


def stands_still(system: System, before: int) -> None:
    """Held means held: nothing more is spent while nobody raises it."""
    spent = sum(system.counted())
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        assert system.look("loop").state == "over-budget"
        assert sum(system.counted()) == spent <= before + BUDGET
        time.sleep(0.02)


INSIDE = """
import json, subprocess, sys

told = {}
for words in json.loads(sys.argv[1]):
    done = subprocess.run([sys.executable, "-m", "aish", *words], capture_output=True, text=True)
    told[" ".join(words)] = [done.returncode, done.stdout, done.stderr]
print(json.dumps(told))
"""


def test_an_agent_decides_nothing_about_others_or_its_own_limits(system: System) -> None:
    """Its verbs, run inside the supervised process, end with 77 and say why; nothing has changed."""
    system.run("spawn", "--name", "other", "--budget", "1000", "--", "sh", "-c", "echo secret; exec sleep 62")
    tries = [
        ["limit", "other", "tokens=5"],
        ["limit", "agent", "tokens=+50k"],
        ["limit", "agent", "tokens=none"],
        ["kill", "-9", "@other"],
        ["stop", "other"],
        ["logs", "other"],
        ["key", "new", "mine"],
        ["shutdown"],
    ]
    command = (system.python, "-c", INSIDE, json.dumps(tries))
    system.run("spawn", "--kind", "agent", "--name", "agent", "--budget", "100", "--", *command)
    system.run("wait", "agent")
    told = json.loads(system.log("agent"))
    assert {words: status for words, (status, _, _) in told.items()} == {" ".join(words): 77 for words in tries}
    for words, (_, out, errors) in told.items():
        assert "secret" not in out, words
        assert errors.startswith("aish "), errors
        assert "Traceback" not in errors, errors
    row = system.row("other")
    assert (row["state"], row["budget_tokens"]) == ("running", 1000)
    assert system.row("agent")["budget_tokens"] == 100
    assert [event["kind"] for event in system.events("other")] == ["created", "started"]


def test_an_agent_sees_only_its_own_and_spends_only_what_it_has(system: System) -> None:
    system.run("spawn", "--name", "other", "--", "sleep", "62")
    tries = [
        ["ps", "--json"],
        ["spawn", "--name", "greedy", "--budget", "1k", "--", "true"],
        ["spawn", "--name", "modest", "--budget", "50", "--", "true"],
        ["wait", "modest"],
    ]
    command = (system.python, "-c", INSIDE, json.dumps(tries))
    system.run("spawn", "--kind", "agent", "--name", "agent", "--budget", "100", "--", *command)
    system.run("wait", "agent")
    told = list(json.loads(system.log("agent")).values())
    assert [status for status, _, _ in told] == [0, 75, 0, 0], told
    assert [row["name"] for row in json.loads(told[0][1])] == ["agent"]
    assert system.row("modest")["parent"] == system.row("agent")["id"]
