"""Checkpoint, rewind, fork and restore as a person has them: the built-in agent, a scripted model, a real
repository."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aish.agents.checkpoints.checkpoint import Intent
from aish.agents.checkpoints.shelf import Shelf
from aish.cli import completing
from aish.errors import RefusedError

from .person import files, write

if TYPE_CHECKING:
    from aish.plugins.simprovider.server import Provider

    from .person import Person

DEADLINE_S = 60.0


def test_a_person_goes_back_and_forth(person: Person) -> None:
    agent = person.spawn("--worktree")
    tree = person.tree("fix")
    assert person.ask("@fix", write("one.txt", "1"), "say 1") == "w0"
    (tree / "data.o").write_text("ignored")
    (tree / "staged.txt").write_text("staged")
    person.git("add", "staged.txt", folder=tree)
    (tree / "staged.txt").write_text("and changed since")
    (tree / "a.txt").write_bytes(b"mixed\r\nends\n")
    (tree / "link").symlink_to("nowhere")
    then, status = files(tree), person.git("status", "--porcelain", folder=tree)
    kept = person.json("checkpoint", "@fix", "--name", "good")
    assert (kept["id"], kept["turn"], kept["label"]) == (f"{agent.id}.3", 1, "good")

    assert person.ask("@fix", write("one.txt", "2"), "say 2") == "w0 w1"
    person.git("add", "-A", folder=tree)
    person.git("commit", "-q", "-m", "work of the agent", folder=tree)
    (tree / "link").unlink()
    (tree / "link").mkdir()
    (tree / "link" / "file").write_text("x")
    later, head = files(tree), person.git("rev-parse", "HEAD", folder=tree)

    back = person.json("rewind", "@fix", "good")
    assert (back["id"], back["turn"]) == (kept["id"], 1)
    assert files(tree) == then
    assert person.git("status", "--porcelain", folder=tree) == status
    assert person.git("symbolic-ref", "HEAD", folder=tree) == "refs/heads/aish/fix"
    assert agent.row().lifecycle == "running", "the same process goes on"

    person.aish("rewind", "@fix", back["saved"])
    assert files(tree) == later, "what was there before is not lost"
    assert person.git("rev-parse", "HEAD", folder=tree) == head
    kinds = [(entry["kind"], entry.get("id")) for entry in person.entries(agent.id) if entry["kind"] == "rewound"]
    assert kinds == [("rewound", kept["id"]), ("rewound", back["saved"])]
    assert [entry["kind"] for entry in person.entries(agent.id)].count("prompt") == 2, "no line is taken away"
    told = [event.kind for event in person.home.client.events(names=[agent.id])]
    assert (told.count("checkpoint"), told.count("rewound")) == (1, 2)


def asked(model: Provider) -> list[str]:
    """The texts of the last request, but its instructions."""
    found = [request.fields for request in model.requests if request.path.endswith("/chat/completions")][-1]
    return [
        str(message["content"]).strip() for message in found["messages"] if message["role"] in ("user", "assistant")
    ]


@pytest.mark.slow
def test_the_model_is_asked_with_the_conversation_as_it_was(person: Person, model: Provider) -> None:
    person.spawn()
    person.ask("@fix", "say 1")
    person.ask("@fix", "say 2")
    assert asked(model) == ["say 1", "w0", "say 2"]
    person.ask("@fix", "say 3")
    assert asked(model) == ["say 1", "w0", "say 2", "w0 w1", "say 3"]
    back = person.json("rewind", "@fix", "2")
    assert back["turn"] == 1
    person.ask("@fix", "say 4")
    assert asked(model) == ["say 1", "w0", "say 4"]
    assert person.json("rewind", "@fix", "2")["turn"] == 0, "turns are counted along the way that it came"
    person.ask("@fix", "say 5")
    assert asked(model) == ["say 5"]
    person.aish("rewind", "@fix", back["saved"])
    person.ask("@fix", "say 6")
    assert asked(model) == ["say 1", "w0", "say 2", "w0 w1", "say 3", "w0 w1 w2", "say 6"]
    assert "nothing is kept of 7 before it" in person.aish("rewind", "@fix", "7", status=69)
    assert person.json("checkpoint", "ls", "@fix")[-1]["usage"]["requests"] == 6, "what was used stays used"


@pytest.mark.slow
def test_a_fork_goes_its_own_way_with_its_part_of_the_budget(person: Person, model: Provider) -> None:
    first = person.spawn("--worktree", "--budget", "tokens=100k,requests=9,rpm=50")
    person.ask("@fix", write("shared.txt", "both"), "say 1")
    (person.tree("fix") / "loose.txt").write_text("untracked")
    made = person.json("fork", "@fix", "--as", "other")
    assert (made["name"], made["turn"], made["exact"]) == ("other", 1, False)
    tree = person.tree("other")
    assert files(tree).keys() - {".git"} == files(person.tree("fix")).keys() - {".git"}
    assert (tree / "a.txt").read_bytes() == b"a\r\nb\n"
    assert person.git("status", "--porcelain", folder=tree) == "?? loose.txt\n?? shared.txt"

    prompt = f"{write('shared.txt', 'both')} then say 1"
    person.ask("other", write("shared.txt", "other"), "say 2")
    assert asked(model)[0] == prompt
    person.ask("@fix", write("shared.txt", "first"), "say 3")
    assert asked(model)[0] == prompt
    assert "other" not in "".join(asked(model))
    assert (tree / "shared.txt").read_text() == "other"
    assert (person.tree("fix") / "shared.txt").read_text() == "first"

    old, new = (person.home.client.inspect(id).spec for id in (first.id, made["id"]))
    assert old.budget_tokens + new.budget_tokens == 100_000
    assert (old.budget.requests, new.budget.requests) == (6, 3), "half of the seven that were left"
    assert new.budget.requests_per_minute == old.budget.requests_per_minute == 50
    used = {each["agent"]: each["usage"]["requests"] for each in person.json("checkpoint", "ls")}
    assert (used[first.id], used[made["id"]]) == (4, 2)
    told = [(event.kind, event.detail.get("fork")) for event in person.home.client.events(names=[first.id])]
    assert ("forked", made["id"]) in told
    assert [each["turn"] for each in person.json("checkpoint", "ls", "other")] == [1, 2]
    assert [entry["id"] for entry in person.entries(made["id"]) if entry["kind"] == "begun"] == [made["from"]]


@pytest.mark.slow
def test_the_budget_of_a_fork_is_never_more_than_there_is(person: Person) -> None:
    person.idle("--budget", "tokens=1000")
    before = {row.id for row in person.home.client.processes()}
    assert "are left of the budget of fix" in person.aish("fork", "@fix", "--budget", "tokens=2000", status=75)
    assert {row.id for row in person.home.client.processes()} == before
    made = person.json("fork", "@fix", "--budget", "300")
    budgets = [row.budget_tokens for row in person.home.client.processes() if row.name in ("fix", made["name"])]
    assert sorted(budgets) == [300, 700]


@pytest.mark.slow
def test_an_ended_agent_runs_again_from_a_checkpoint(person: Person, model: Provider) -> None:
    agent = person.spawn("--worktree", "--budget", "tokens=50k")
    person.ask("@fix", write("work.txt", "one"), "say 1")
    person.ask("@fix", write("work.txt", "two"), "say 2")
    assert "has not ended" in person.aish("restore", f"{agent.id}.2", status=69)
    agent.stop()
    assert "has ended" in person.aish("rewind", agent.id, status=69)
    assert "has ended" in person.aish("fork", agent.id, status=69)
    used = person.home.client.process(agent.id).row().tokens
    made = person.json("restore", f"{agent.id}.2")
    assert (made["name"], made["from"]) == ("fix", f"{agent.id}.2")
    assert made["id"] != agent.id
    assert (person.tree("fix-2") / "work.txt").read_text() == "one"
    assert (person.tree("fix") / "work.txt").read_text() == "two", "what it left is untouched"
    person.ask(made["id"], "say 3")
    assert "two" not in "".join(asked(model))
    assert asked(model)[-2:] == ["w0", "say 3"]
    spec = person.home.client.inspect(made["id"]).spec
    assert spec.budget_tokens == 50_000 - used.input - used.output, "what is spent is not given again"
    assert "left of the budget" in person.aish("restore", f"{agent.id}.2", "--as", "again", status=75)


@pytest.mark.slow
def test_a_turn_under_way_is_waited_for_or_refused(person: Person) -> None:
    person.spawn()
    waiting = person.home.popen("ask", "@fix", "say 3 pace 0.3", cwd=person.repo, stdout=subprocess.PIPE)
    while person.home.client.process("fix").row().state != "generating":
        pass
    said = person.aish("checkpoint", "@fix", "--no-wait", status=69)
    assert "in the middle of a turn" in said
    assert "--no-wait" in said
    kept = person.json("checkpoint", "@fix")
    assert (kept["turn"], kept["why"]) == (1, "asked"), "it was taken at the end of the turn"
    assert waiting.communicate(timeout=DEADLINE_S)[0] == b"w0 w1 w2\n"


def test_what_has_no_turns_is_refused(person: Person) -> None:
    person.home.client.spawn(["sleep", "600"], name="plain")
    for verb in ("checkpoint", "rewind", "fork"):
        assert "has no turns that aish knows of" in person.aish(verb, "plain", status=69)
    assert "no checkpoint is called nowhere" in person.aish("restore", "nowhere", status=69)
    assert "no number alone" in person.aish("checkpoint", "plain", "--name", "3", status=2)


@pytest.mark.slow
def test_they_are_listed_shown_and_dropped(person: Person) -> None:
    agent = person.spawn()
    person.ask("@fix", "say 1")
    person.aish("checkpoint", "@fix", "--name", "good")
    found = person.json("checkpoint", "ls", "@fix")
    assert [(each["number"], each["why"], each["turn"], each["current"]) for each in found] == [
        (1, "begun", 0, False),
        (2, "turn", 1, False),
        (3, "asked", 1, True),
    ]
    shown = person.json("checkpoint", "show", "good")
    assert shown["id"] == f"{agent.id}.3"
    assert set(shown["missing"]) == {"worktree", "cache"}
    assert not shown["exact"]
    assert shown["usage"]["requests"] == 1
    text = person.aish("checkpoint", "show", "good")
    assert "does not work in a worktree of its own" in text
    assert text.rstrip().endswith("not exact")
    assert ("fix", f"idle {agent.id}") in (completing.after(["rewind"], "") or [])
    assert ("good", "fix, turn 1") in (completing.after(["rewind", "@fix"], "") or [])
    assert {"ls", "rm", "show", "fix"} <= {word for word, _ in completing.after(["checkpoint"], "") or []}
    assert [word for word, _ in completing.after(["restore"], "go") or []] == ["good"]
    person.aish("checkpoint", "rm", "good")
    assert "no checkpoint is called good" in person.aish("checkpoint", "show", "good", status=69)
    assert [each["number"] for each in person.json("checkpoint", "ls", "@fix")] == [1, 2]


def test_who_is_not_above_it_may_not(person: Person) -> None:
    """An agent that could rewind another would undo its work, and one that rewinds itself what it was told."""
    agent = person.idle()
    other = person.home.client.spawn(
        [sys.executable, "-m", "aish", "rewind", agent.id], env=person.home.environ, cwd=str(person.repo)
    )
    assert other.wait(timeout_s=DEADLINE_S).code == RefusedError.exit_status
    listed = person.home.client.spawn(
        [sys.executable, "-m", "aish", "checkpoint", "ls"], env=person.home.environ, cwd=str(person.repo)
    )
    assert listed.wait(timeout_s=DEADLINE_S).code == 0
    assert [line.text for line in person.home.client.logs(listed)] == [], "nor see what is in them"
    assert [each["why"] for each in person.json("checkpoint", "ls", agent.id)] == ["begun"]


@pytest.mark.slow
def test_a_killed_agent_goes_on_with_its_conversation(person: Person, model: Provider) -> None:
    agent = person.spawn("--restart", "on-failure")
    person.ask("@fix", "say 1")
    pid = agent.row().pid
    os.kill(pid, signal.SIGKILL)
    while agent.row().pid in (pid, None):
        pass
    person.ask(agent.id, "say 2")
    assert asked(model) == ["say 1", "w0", "say 2"]


@pytest.mark.slow
def test_one_that_had_a_prompt_begins_anew_each_time_and_can_be_gone_on_from(person: Person, model: Provider) -> None:
    """A schedule would have it remember every run before."""
    agent = person.home.client.process(person.json("spawn", "--", "@fix", "say 1")["id"])
    assert agent.wait(timeout_s=DEADLINE_S).code == 0
    person.aish("start", agent.id)
    assert agent.wait(timeout_s=DEADLINE_S).code == 0
    assert asked(model) == ["say 1"]
    last = person.json("checkpoint", "ls", agent.id)[-1]
    assert (last["turn"], last["status"]) == (1, "done")
    made = person.json("restore", last["id"])
    person.ask(made["id"], "say 2")
    assert asked(model) == ["say 1", "w0", "say 2"]


@pytest.mark.slow
def test_a_verb_that_was_killed_is_brought_to_its_end_by_the_next_turn(person: Person, model: Provider) -> None:
    agent = person.spawn("--worktree")
    person.ask("@fix", write("a", "1"), "say 1")
    person.ask("@fix", write("a", "2"), "say 2")
    (folder,) = (person.home.state / "agents").glob(f"*-{agent.id}")
    size = (folder / "transcript.jsonl").stat().st_size
    shelf = Shelf(str(folder))
    with shelf.boundary.still(None):  # it stands there, and dies
        shelf.intend(Intent(to=2, saved=3, transcript_bytes=size))
    person.ask("@fix", "say 3")
    assert (person.tree("fix") / "a").read_text() == "1"
    assert asked(model)[-2:] == ["w0", "say 3"]
    assert [entry["id"] for entry in person.entries(agent.id) if entry["kind"] == "rewound"] == [f"{agent.id}.2"]


@pytest.mark.slow
def test_a_program_that_keeps_its_conversation_is_refused_with_the_reason(person: Person) -> None:
    (person.repo / ".aish" / "agents" / "own.md").write_text("---\nadapter: program\nprogram: ./own\n---\n")
    (person.repo / "own").write_text("#!/bin/sh\ncat\n")
    (person.repo / "own").chmod(0o755)
    agent = person.home.client.process(person.json("spawn", "--", "@own")["id"])
    assert person.ask("own", "hello") == "hello"
    person.aish("checkpoint", "own", "--name", "here")
    for words in (("rewind", "own", "here"), ("fork", "own")):
        said = person.aish(*words, status=69)
        assert "begin anew with each message" in said
    assert person.json("rewind", "own")["turn"] == 0, "before its first turn there was nothing to keep"
    assert agent.row().lifecycle == "running"
