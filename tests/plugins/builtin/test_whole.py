"""The built-in agent as people run it: `aish run @fix` in a private home, with the gateway, the daemon and a scripted
model."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.deadline import DEADLINE_S, until

from .whole import agent, call, entries, run, spawned, until_event

if TYPE_CHECKING:
    from conftest import Home


def test_files_are_changed_and_stdout_is_the_answer_alone(up: Home) -> None:
    agent(up, "tools: [read, edit]\npermissions: allow\n")
    (up.root / "a.py").write_text("x = 1\n")
    steps = [call("read", path="a.py"), "say 2 " + call("edit", path="a.py", old="x = 1", new="x = 2"), "say 3"]
    done = run(up, "@fix", " then ".join(steps))
    assert (done.stdout, done.returncode) == ("w0 w1 w2\n", 0), done.stderr
    assert (up.root / "a.py").read_text() == "x = 2\n"
    kinds = [entry["kind"] for entry in entries(up)]
    assert [kind for kind in kinds if kind != "said"] == ["prompt", *["tool", "result"] * 2, "text", "end"]


def test_a_person_is_asked_and_answers(up: Home) -> None:
    agent(up, "tools: [shell]\n")
    process = spawned(up, "@fix", f"{call('shell', command='echo done > made')} then say 1")
    until_event(up, process.id, "asked")
    row = process.row()
    assert (row.state, row.doing) == ("needs-input", "wants: run: echo done > made")
    assert not (up.root / "made").exists(), "it did not wait"
    assert up.aish("answer", process.id, "allow").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0
    assert (up.root / "made").read_text() == "done\n"
    answers = [entry["by"] for entry in entries(up) if entry["kind"] == "answer"]
    assert answers == ["the person"]


@pytest.mark.slow
def test_what_is_denied_ends_with_77(up: Home) -> None:
    agent(up, "tools: [shell]\npermissions: deny\n")
    done = run(up, "@fix", f"{call('shell', command='touch made')} then say 1")
    assert (done.stdout, done.returncode) == ("w0\n", 77)
    assert not (up.root / "made").exists()


def test_ctrl_c_ends_the_whole_group_of_its_command(up: Home) -> None:
    """A test run that goes on for an hour after its agent was stopped."""
    agent(up, "tools: [shell]\npermissions: allow\n")
    script = "trap '' TERM; sleep 3600 & echo $! > child; echo $$ > leader; wait"
    process = spawned(up, "@fix", call("shell", command=script))
    leader = up.root / "leader"
    until("it runs", lambda: leader.exists() and leader.read_text().strip())
    pids = [int((up.root / name).read_text()) for name in ("child", "leader")]
    process.signal("INT")
    assert process.wait(timeout_s=DEADLINE_S).signal == signal.SIGINT
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists() or "zombie" in Path(f"/proc/{pid}/status").read_text()
    assert entries(up)[-1]["status"] == "cancelled"


@pytest.mark.slow
def test_a_circle_ends_with_75(up: Home) -> None:
    agent(up, "tools: [shell]\npermissions: allow\n")
    done = run(up, "@fix", " then ".join([call("shell", command="true")] * 9))
    assert (done.returncode, "called shell 5 times" in done.stderr) == (75, True)


@pytest.mark.slow
def test_a_budget_that_is_spent_ends_with_75(up: Home) -> None:
    agent(up, "tools: [shell]\npermissions: allow\nlimits:\n  requests: 2\n")
    steps = " then ".join([*(call("shell", command=f"echo {n}") for n in range(3)), "say 1"])
    process = spawned(up, "@fix", steps)
    until_event(up, process.id, "held")
    up.client.limit(process.id, requests="+20")
    assert process.wait(timeout_s=DEADLINE_S).code == 0, "held, and then let go on"
    done = run(up, "--budget", "requests=2,hard", "@fix", steps)
    assert (done.returncode, done.stdout) == (75, ""), done.stderr
    done = run(up, "--budget", "tokens=100,hard", "@fix", "say 500")
    assert done.returncode == 75, done.stderr


@pytest.mark.slow
def test_a_model_that_fails_ends_with_69(up: Home) -> None:
    agent(up, "tools: [read]\n")
    done = run(up, "@fix", "fault status-500")
    assert (done.returncode, done.stdout) == (69, "")
    assert "Traceback" not in done.stderr
    done = run(up, "--model", "nowhere", "@fix", "say 1")
    assert done.returncode == 69, done.stderr


@pytest.mark.slow
def test_an_answer_by_a_schema(up: Home) -> None:
    schema = "schema:\n  type: object\n  properties: {n: {type: integer}}\n  required: [n]\n"
    agent(up, schema)
    assert json.loads(run(up, "@fix", 'json {"n": 7}').stdout) == {"n": 7}
    done = run(up, "@fix", 'json {"n": "seven"}')
    assert (done.returncode, done.stdout) == (65, ""), done.stderr


@pytest.mark.slow
def test_a_long_conversation_is_made_shorter(up: Home) -> None:
    """The file's limit of a request, too, is one that the gateway holds at: work has to stay below it."""
    agent(up, "tools: [read]\nlimits:\n  context: 3k\n  max_output_tokens: 300\n")
    for number in range(10):  # each result is the script of the next request
        text = call("read", path=f"f{number + 1}") if number < 9 else "say 2"
        (up.root / f"f{number}").write_text("word " * 400 + text)
    done = run(up, "@fix", call("read", path="f0"))
    assert (done.stdout, done.returncode) == ("w0 w1\n", 0), done.stderr
    assert "made shorter" in done.stderr
    assert any(entry["kind"] == "compacted" for entry in entries(up))


@pytest.mark.slow
def test_it_asks_another_agent_which_is_its_child(up: Home) -> None:
    agent(up, "tools: [ask]\npermissions: allow\n")
    agent(up, "description: says something\n", name="other")
    done = run(up, "@fix", f"{call('ask', agent='other', task='say 6')} then say 1")
    assert (done.stdout, done.returncode) == ("w0\n", 0), done.stderr
    assert next(entry["text"] for entry in entries(up) if entry["kind"] == "result") == "w0 w1 w2 w3 w4 w5\n"
    rows = {row.name: row for row in up.client.processes(all=True)}
    assert rows["other"].parent == rows["fix"].id
    done = run(up, "@fix", f"{call('ask', agent='nobody', task='x')} then say 1")
    assert "no agent or model is called nobody" in next(e["text"] for e in entries(up) if e["kind"] == "result")


@pytest.mark.slow
def test_what_it_asks_ends_with_it(up: Home) -> None:
    """An agent that nobody waits for any more would go on asking its model."""
    agent(up, "tools: [ask]\npermissions: allow\n")
    agent(up, "description: says something\n", name="other")
    process = spawned(up, "@fix", call("ask", agent="other", task="say 9 pace 60"))
    until(
        "the other one works", lambda: ("other", "generating") in {(r.name, r.state) for r in up.client.processes()}
    )
    process.signal("INT")
    assert process.wait(timeout_s=DEADLINE_S).signal == signal.SIGINT
    assert [row.name for row in up.client.processes() if row.name == "other"] == []


@pytest.mark.slow
def test_agents_that_ask_each_other_come_to_an_end(up: Home) -> None:
    script = call("ask", agent="fix", task="go on")
    agent(up, f"tools: [ask]\npermissions: allow\nprompt: '{script} then say 1 {{input}}'\n")
    done = run(up, "@fix", "go on")
    assert done.returncode == 0, done.stderr
    names = [row.name for row in up.client.processes(all=True) if row.name.startswith("fix")]
    assert len(names) == 5


@pytest.mark.slow
def test_its_environment_and_its_secrets(up: Home) -> None:
    up.environ["ANTHROPIC_API_KEY"] = "of the provider"
    agent(up, "tools: [shell]\npermissions: allow\nenvironment:\n  LEVEL: three\nsecrets: [ANTHROPIC_API_KEY]\n")
    script = call("shell", command='echo "$LEVEL $ANTHROPIC_API_KEY" > seen')
    assert run(up, "@fix", f"{script} then say 1").returncode == 0
    assert (up.root / "seen").read_text() == "three of the provider\n"
    agent(up, "tools: [shell]\npermissions: allow\n")
    run(up, "@fix", f"{script} then say 1")
    assert "of the provider" not in (up.root / "seen").read_text(), "keys of providers are not for every agent"
