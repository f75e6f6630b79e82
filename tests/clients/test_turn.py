"""Claude Code and Codex as they are, in aish: seen, asked and answered, metered, held and raised, stopped."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.agents.host import invocation

from .conftest import DEADLINE_S, helpers

if TYPE_CHECKING:
    from .conftest import Client

pytestmark = [
    pytest.mark.clients,
    pytest.mark.parametrize("client", ["claude", "codex"], indirect=True),
    pytest.mark.timeout(180),
]


def test_a_whole_turn_with_a_tool(client: Client) -> None:
    process = client.spawn(client.tool("touch made && echo say 4"))
    client.until(process, "asked")
    row, question = process.row(), client.question(process)
    assert (row.kind, row.state) == ("agent", "needs-input")
    assert question.title == f"{client.shell}: touch made && echo say 4"
    assert (question.form, question.body.splitlines()[0]) == ("command", "touch made && echo say 4")
    assert not (client.home.root / "made").exists()
    key = client.key(process)
    assert helpers(key) == [], "the key is in an argument"
    assert client.home.aish("answer", process.id, "allow").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0, client.log(process)
    assert (client.home.root / "made").exists()
    assert client.log(process, "stdout").split() == ["w0", "w1", "w2", "w3"], "stdout has the answer alone"
    kinds = [entry["kind"] for entry in client.entries(process)]
    for kind in ("prompt", "session", "thought", "said", "tool", "question", "answer", "result", "text", "end"):
        assert kind in kinds
    assert client.counted(process) == client.told_tokens()
    assert len(client.asked()) == 2
    kept = [path for path in client.home.root.rglob("*.jsonl") if path.is_file()]
    assert not any(key.encode() in path.read_bytes() for path in kept), "nor in a transcript, ours or its own"
    assert key not in client.log(process)


def test_what_is_denied_is_not_done_and_it_goes_on(client: Client) -> None:
    process = client.spawn(client.tool("touch made"))
    client.until(process, "asked")
    assert client.home.aish("answer", process.id, "deny").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0, client.log(process)
    assert not (client.home.root / "made").exists()


def test_always_is_for_the_rest_of_its_work(client: Client) -> None:
    """The second call is what the first one prints: one that is the same, or that its rule is for, too."""
    first = {"claude": "touch made; cat again; rm again", "codex": "cat again; rm again"}[client.name]
    second = {"claude": "touch made", "codex": first}[client.name]
    (client.home.root / "again").write_text(f"{client.tool(second)}\n")
    process = client.spawn(client.tool(first))
    client.until(process, "asked")
    assert client.home.aish("answer", process.id, "allow", "--always").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0, client.log(process)
    kinds = [entry["kind"] for entry in client.entries(process)]
    assert (kinds.count("tool"), kinds.count("question")) == (2, 1)


@pytest.mark.parametrize("seconds", [3, pytest.param(65, marks=pytest.mark.slow)])
def test_a_budget_holds_it_and_lets_it_go_on(client: Client, seconds: int) -> None:
    """Longer than clients wait by themselves, or ask again."""
    process = client.spawn("say 4", "--budget", "tokens=50")
    client.until(process, "held")
    assert process.row().state == "over-budget"
    held_s = time.monotonic()
    while time.monotonic() - held_s < seconds:  # that nothing happens has no event
        assert process.row().ended_s is None, client.log(process)
        time.sleep(0.25)
    assert client.asked() == []
    assert client.home.aish("limit", process.id, "tokens=+500k").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0, client.log(process)
    assert client.log(process, "stdout").split() == ["w0", "w1", "w2", "w3"]
    assert len([each for each in client.home.client.requests() if each.process == process.id]) == 1, (
        "it was waited for"
    )


def test_a_hard_budget_ends_it_with_75(client: Client) -> None:
    process = client.spawn("say 4", "--budget", "tokens=50,hard")
    assert process.wait(timeout_s=DEADLINE_S).code == 75, client.log(process)
    assert client.asked() == []


def test_stopped_with_all_its_helpers(client: Client) -> None:
    marker = f"until-{os.getpid()}-ends"
    process = client.spawn(client.tool(f"touch begun; tail -f /dev/null {marker}"))
    client.until(process, "asked")
    assert client.home.aish("answer", process.id, "allow").returncode == 0
    row = client.until_doing(process, f"{client.shell}: touch begun; tail -f /dev/null {marker}")
    assert row.state == "tool"
    while not (client.home.root / "begun").exists():
        assert process.row().ended_s is None, client.log(process)
    assert helpers(marker)
    assert client.home.aish("stop", process.id).returncode == 0
    assert helpers(marker) == []


def test_ctrl_c_cancels_the_turn(client: Client) -> None:
    process = client.spawn(client.tool("touch begun; tail -f /dev/null"))
    client.until(process, "asked")
    assert client.home.aish("answer", process.id, "allow").returncode == 0
    while not (client.home.root / "begun").exists():
        assert process.row().ended_s is None, client.log(process)
    process.signal("INT")
    assert process.wait(timeout_s=DEADLINE_S).signal == signal.SIGINT
    assert client.entries(process)[-1]["status"] == "cancelled"


def test_killed_in_the_middle_it_is_told_in_a_sentence(client: Client) -> None:
    process = client.spawn(client.tool("touch made"))
    client.until(process, "asked")
    pid = process.row().pid
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    end = process.wait(timeout_s=DEADLINE_S)
    assert end.code == 137
    assert f"{client.name} ended with 137 in the middle of its turn" in client.log(process, "stderr")
    assert client.home.client.questions() == [], "nobody waits for an answer any more"


def test_a_conversation_is_gone_on_with(client: Client) -> None:
    first = client.spawn("say 2 the first words")
    assert first.wait(timeout_s=DEADLINE_S).code == 0, client.log(first)
    (session,) = [entry["id"] for entry in client.entries(first) if entry["kind"] == "session"]
    argv = invocation.command(["say 3"], adapter=client.name, model=client.model, session=session)
    done = client.home.aish("run", "--", *argv, cwd=client.home.root)
    assert done.stdout.split() == ["w0", "w1", "w2"], done.stderr
    assert b"the first words" in client.asked()[-1].body


def test_cancelled_it_waits_for_its_next_message(client: Client) -> None:
    words = ("spawn", "--json", "--model", client.model, "--", f"@{client.name}")
    done = client.home.aish(*words, cwd=client.home.root)
    process = client.home.client.process(json.loads(done.stdout)["id"])
    assert client.home.aish("send", process.id, client.tool("touch begun; tail -f /dev/null")).returncode == 0
    client.until(process, "asked")
    assert client.home.aish("answer", process.id, "allow").returncode == 0
    while not (client.home.root / "begun").exists():
        assert process.row().ended_s is None, client.log(process)
    assert client.home.aish("cancel", process.id).returncode == 0
    done = client.home.aish("ask", process.id, "say 3", cwd=client.home.root, input="")
    assert (done.returncode, done.stdout.split()) == (0, ["w0", "w1", "w2"]), done.stderr
    assert b"touch begun" in client.asked()[-1].body, "in the same conversation"
    ends = [entry["status"] for entry in client.entries(process) if entry["kind"] == "end"]
    assert ends == ["cancelled", "done"]


def test_its_last_conversation_here_is_gone_on_with(client: Client) -> None:
    for words in (("say 1 ALPHA",), ("--continue", "say 1 BETA"), ("--session", "last", "say 1 GAMMA")):
        done = client.home.aish(
            "run", "--model", client.model, *words[:-1], f"@{client.name}", words[-1], cwd=client.home.root
        )
        assert (done.returncode, done.stdout.split()) == (0, ["w0"]), done.stderr
    body = client.asked()[-1].body
    assert [word in body for word in (b"ALPHA", b"BETA", b"GAMMA")] == [True] * 3
    elsewhere = client.home.root / "elsewhere"
    elsewhere.mkdir()
    words = ("run", "--model", client.model, "--continue", f"@{client.name}", "say 1")
    assert client.home.aish(*words, cwd=elsewhere).returncode == 2, "each folder has its own"


def test_a_model_that_there_is_not(client: Client) -> None:
    done = client.home.aish("run", "--model", "nothing", f"@{client.name}", "say 1", cwd=client.home.root)
    assert (done.returncode, done.stdout) == (69, "")
    assert "Traceback" not in done.stderr
    assert any("nothing" in line for line in done.stderr.splitlines())
    assert "ended by the supervisor" not in done.stderr, "it failed by itself, and said so"
