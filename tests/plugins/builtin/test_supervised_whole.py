"""What the built-in agent starts in the background and whom it writes to, with the daemon and a scripted model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.model.sandbox import BWRAP
from aish.plugins.builtin import supervised
from aish.sandbox import tier
from tests.deadline import DEADLINE_S

from .vectors import Vectors
from .whole import agent, call, entries, run, spawned, until_event

if TYPE_CHECKING:
    from conftest import Home


def results(home: Home) -> list[str]:
    return [entry["text"] for entry in entries(home) if entry["kind"] == "result"]


def test_it_starts_waits_reads_and_ends(up: Home) -> None:
    """Only the start is asked about: what else it does is looking at, or ending, what it has started."""
    agent(up, "tools: [spawn]\n")
    steps = [
        call("spawn", command=["sh", "-c", "echo built; exec sleep 3600"], name="build", memory="1G"),
        call("wait", processes=["build"], until="ready"),
        call("ps"),
        call("stop", process="build", grace_s=0),
        call("wait", processes=["build"]),
        call("logs", process="build"),
        call("stop", process="gateway"),
        "say 1",
    ]
    process = spawned(up, "@fix", " then ".join(steps))
    until_event(up, process.id, "asked")
    (question,) = up.client.questions(process.id)
    assert question.title == "start in the background: sh -c 'echo built; exec sleep 3600'"
    assert "memory: 1G" in question.body
    assert up.aish("answer", process.id, "allow").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0
    started, ready, tree, stopped, ended, log, other = results(up)
    (row,) = [row for row in up.client.processes(all=True) if row.name == "build"]
    assert row.parent == process.id
    assert row.labels == {}
    assert started.startswith(f"{row.id} build is ")
    assert "running" in ready
    assert f"  {row.id} build (command) running" in tree
    assert "killed" in stopped or "signal 9" in stopped, stopped
    assert "not yet" not in ended
    assert log.startswith("built\n")
    assert other.startswith("error: "), "the supervisor's own parts are not its to end"
    answers = [entry["by"] for entry in entries(up) if entry["kind"] == "answer"]
    assert answers == ["the person"]


@pytest.mark.slow
def test_it_ends_a_turn_of_what_it_has_started(up: Home) -> None:
    """Nobody is asked, and the work of others is none of its."""
    agent(up, "tools: [spawn]\npermissions: allow\n")
    agent(up, "tools: [read]\n", name="reader")
    stranger = up.client.spawn(["sleep", "600"], name="coder", kind="agent", env=up.environ)
    steps = [
        call("spawn", command=["@reader", "say 900 pace 0.2"], name="helper"),
        call("wait", processes=["helper"], until="ready"),
        call("cancel", agent="@helper"),
        call("wait", processes=["helper"]),
        call("cancel", agent="coder"),
        "say 1",
    ]
    done = run(up, "@fix", " then ".join(steps))
    assert (done.stdout, done.returncode) == ("w0\n", 0), done.stderr
    _, _, cancelled, ended, refused = results(up)
    assert "helper (agent)" in cancelled
    assert "no turn is under way" not in cancelled
    assert "(cancelled)" in ended, ended
    assert refused.startswith("error: ")
    assert stranger.row().state == "running"
    stranger.stop(grace_s=0)


@pytest.mark.slow
def test_wrong_calls_are_told_to_the_model(up: Home) -> None:
    agent(up, "tools: [spawn, message]\npermissions: {spawn: allow, message: deny}\n")
    (up.root / "mine.md").write_text("An agent that it may have written itself.\n")
    calls = [
        call("spawn", command=["true"], folder="x"),
        call("spawn", command=["@./mine.md", "x"]),
        call("spawn", command=["pwd"], cwd="/"),
        call("spawn", command=["no-such-program"]),
        call("wait", processes=["p999999"], timeout_s=9999),
        call("logs", process="nobody"),
        call("send", agent="nobody", text="x"),
        "call ps {broken",
    ]
    done = run(up, "@fix", " then ".join([*calls, "say 1"]))
    assert (done.stdout, done.returncode) == ("w0\n", 0), done.stderr
    words = [
        "no such argument: folder",
        "an agent has a name, not a path",
        "/ is outside of",
        "no-such-program",
        "timeout_s",
        "nobody",
        "json_invalid",  # what is denied has no result
    ]
    told = results(up)
    assert all(word in text for word, text in zip(words, told, strict=True)), told
    assert [entry["answer"] for entry in entries(up) if entry["kind"] == "answer"] == ["Deny"]


@pytest.mark.slow
def test_it_writes_to_its_family_and_gets_the_answer(up: Home) -> None:
    """The built-in agent on both ends: what arrives is a turn of the other, and the turn's text its answer."""
    agent(up, "tools: [spawn, message]\npermissions: allow\n")
    agent(up, "tools: [read]\n", name="reader")
    (up.root / "note").write_text("say 4")
    stranger = up.aish("spawn", "--name", "stranger", "--", "@reader", cwd=up.root)
    assert stranger.returncode == 0, stranger.stderr
    number = max((part.number for part in up.client.mail()), default=0)
    steps = [
        call("spawn", command=["@reader"], name="helper"),
        call("send", agent="@helper", text=call("read", path="note")),
        call("mail", number=number + 1, timeout_s=DEADLINE_S),
        call("send", agent="helper", text="say 2"),
        call("mail", number=number + 2, timeout_s=DEADLINE_S),
        call("send", agent="stranger", text="say 1"),
        call("stop", process="helper"),
        "say 1",
    ]
    done = run(up, "@fix", " then ".join(steps))
    assert (done.stdout, done.returncode) == ("w0\n", 0), done.stderr
    _, sent, first, _, second, refused, _ = results(up)
    assert sent.startswith(f"m{number + 1} is in the mail of helper")
    assert "answered" in first
    assert first.endswith("answer: w0 w1 w2 w3")
    assert second.endswith("answer: w0 w1")
    assert refused.startswith("error: ")
    assert [part.number for part in up.client.mail("stranger")] == []
    up.client.stop("stranger")


def test_passages_are_embedded_at_the_gateway_by_its_own_key(up: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Vectors()
    try:
        done = up.aish("model", "serve", "words", "--url", server.url)
        assert done.returncode == 0, done.stderr
        monkeypatch.setitem(up.environ, "AISH_EMBED_MODEL", "words")
        agent(up, "tools: [nearest]\npermissions: deny\n")
        (up.root / "a.md").write_text("about cats\n")
        (up.root / "b.md").write_text("about dogs and more\n")
        steps = call("nearest", query="dogs", paths=["a.md", "b.md"], count=1)
        done = run(up, "@fix", f"{steps} then say 1")
        assert (done.stdout, done.returncode) == ("w0\n", 0), done.stderr
        (told,) = results(up)
        assert told.startswith("b.md:1 (0.")
        assert told.endswith("\nabout dogs and more")
        (row,) = [row for row in up.client.processes(all=True) if row.name == "fix"][-1:]
        assert "words" in [each.model for each in up.client.requests(row.id)]
    finally:
        up.aish("stop", "words")
        server.close()


HELD = tier.here()


@pytest.mark.skipif(HELD.tier != BWRAP, reason=f"the right to start processes needs bwrap: {HELD.tier}")
@pytest.mark.slow
def test_what_a_sandboxed_one_starts_is_in_no_wider_one(up: Home) -> None:
    outside = up.root.parent / "beside"
    script = f"echo x > inside; echo x > {outside}; echo end"
    steps = [
        call("spawn", command=["sh", "-c", script], name="child"),
        call("wait", processes=["child"]),
        call("logs", process="child", stream="stdout"),
        call("spawn", command=["pwd"], cwd="/etc/ssl"),
        "say 1",
    ]
    agent(up, "tools: [spawn]\npermissions: allow\nsandbox: {profile: closed, spawn: true}\n")
    assert run(up, "@fix", " then ".join(steps)).returncode == 0
    assert results(up)[2].startswith("end\n"), results(up)
    assert (up.root / "inside").exists()
    assert not outside.exists()
    agent(up, "tools: [spawn]\npermissions: allow\nsandbox: closed\n")
    assert run(up, "@fix", f"{steps[0]} then say 1").returncode == 0
    assert "may not start processes: its sandbox says so" in results(up)[0]


@pytest.mark.slow
def test_agents_that_start_each_other_come_to_an_end(up: Home) -> None:
    script = call("spawn", command=["@fix", "go on"])
    agent(up, f"tools: [spawn]\npermissions: allow\nprompt: '{script} then say 1 {{input}}'\n")
    last, started = spawned(up, "@fix", "go on").id, 0
    while last is not None:
        assert up.client.wait(last, timeout_s=DEADLINE_S).code == 0
        started += 1
        last = next((row.id for row in up.client.processes(all=True) if row.parent == last), None)
    assert started == 5


@pytest.mark.slow
def test_a_wait_ends_with_the_turn(up: Home) -> None:
    """Ctrl-C has to come through while it waits for an hour; what it has started goes on."""
    agent(up, "tools: [spawn]\npermissions: allow\n")
    steps = [
        call("spawn", command=["sleep", "3600"], name="long"),
        call("wait", processes=["long"], timeout_s=supervised.WAIT_MOST_S),
    ]
    process = spawned(up, "@fix", " then ".join(steps))
    for view in up.client.views(every_s=0.1):
        if any(row.id == process.id and (row.doing or "").startswith("wait long") for row in view.processes):
            break
    process.signal("INT")
    assert process.wait(timeout_s=DEADLINE_S).signal == 2
    assert up.client.process("long").row().state == "running"
    up.client.stop("long", grace_s=0)
