"""Checkpoints with what the model's server has of a conversation: the embedded model, the built-in agent, a real
repository. What counts is what the server itself says that it has read."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect

from .person import Person

if TYPE_CHECKING:
    from conftest import Home

pytestmark = [pytest.mark.model, pytest.mark.slow]
HEAD = "tools: [read]\npermissions: allow\ntemperature: 0\nlimits: {max_output_tokens: 24}\n"
BODY = "You answer in one short sentence. " + " ".join(f"Rule {number}: be kind." for number in range(40))


@pytest.fixture(scope="module")
def served(module_home: Home, embedded_store: Path) -> Home:
    module_home.store(embedded_store)
    done = module_home.aish("model", "serve", "smollm2")
    assert done.returncode == 0, done.stderr
    return module_home


@pytest.fixture
def person(served: Home, shared_home: Home) -> Person:
    shared_home.environ["AISH_MODEL"] = "smollm2"
    return Person(shared_home, HEAD, BODY)


def last(person: Person, id: str) -> tuple[int, int]:
    """Of its last request: tokens of the prompt, and how many of them the server had."""
    request = person.json("requests", id, "-n", "1")[-1]
    return request["input"], request["cached"]


def had(person: Person, id: str, exact: Any) -> bool:
    """Whether its last request had the conversation of that checkpoint read already: but for the end of its last
    answer, which the model's template writes in its own way."""
    prompt, cached = last(person, id)
    tokens: int = exact["cache"]["tokens"]
    return tokens - 3 <= cached < prompt


def kill(person: Person, name: str) -> None:
    """-9; it is started again by who sees that."""
    (row,) = [row for row in person.home.client.processes(all=True) if row.name == name and row.pid]
    assert row.pid is not None
    os.kill(row.pid, signal.SIGKILL)


def daemon() -> int:
    with connect(start=False, program="test") as client:
        return client.welcome.pid


def slots(person: Person, id: str) -> list[Path]:
    return list((person.home.state / "agents").glob(f"*-{id}/slots/*"))


def test_it_is_exact_after_any_turn_and_gone_back_to_over_every_kill(person: Person) -> None:
    agent = person.spawn("--worktree")
    person.ask("@fix", "Name a colour.")
    person.ask("@fix", "Name another one.")
    kept = person.json("checkpoint", "@fix", "--name", "two")
    assert kept["exact"], kept["missing"]
    assert [each["exact"] for each in person.json("checkpoint", "ls", "@fix")] == [True] * 4
    assert f"{kept['cache']['tokens']} tokens of smollm2" in person.aish("checkpoint", "show", "two")
    assert {stat.S_IMODE(path.stat().st_mode) for path in slots(person, agent.id)} == {0o600}
    assert len(slots(person, agent.id)) == 2, "one of each turn"
    person.ask("@fix", "And one more.")
    assert had(person, agent.id, kept)

    kill(person, "smollm2")
    assert person.json("rewind", "@fix", "two")["exact"]
    person.ask("@fix", "And one more.")
    assert had(person, agent.id, kept)

    newest = person.json("checkpoint", "@fix")
    assert newest["exact"], newest["missing"]
    kill(person, "smollm2")
    kill(person, "gateway")
    os.kill(daemon(), signal.SIGKILL)
    person.ask("@fix", "And a last one.")
    assert had(person, agent.id, newest), "without going back it is gone on with, too"


def test_a_fork_has_it_and_both_go_when_they_are_forgotten(person: Person) -> None:
    first = person.spawn("--worktree")
    person.ask("@fix", "Name a colour.")
    made = person.json("fork", "@fix", "--as", "other")
    assert made["exact"]
    kill(person, "smollm2")
    person.ask("other", "And a second one.")
    (kept,) = [each for each in person.json("checkpoint", "ls", "@fix") if each["why"] == "turn"]
    assert had(person, made["id"], kept)
    (path,) = slots(person, first.id)
    assert path.samefile(next(each for each in slots(person, made["id"]) if each.name == path.name))
    first.stop(grace_s=0)
    restored = person.json("restore", kept["id"])
    assert restored["exact"]
    person.ask(restored["id"], "And a second one.")
    assert had(person, restored["id"], kept)
    for id in (first.id, made["id"], restored["id"]):
        person.home.client.stop(id, grace_s=0)
        person.home.client.forget(id)
        assert not slots(person, id)
    assert not list((person.home.state / "slots").iterdir())


def test_what_is_damaged_or_gone_is_told_and_the_conversation_goes_on(person: Person) -> None:
    agent = person.spawn("--worktree")
    person.ask("@fix", "Name a colour.")
    said = person.ask("@fix", "Name another one.")
    path = max(slots(person, agent.id), key=lambda each: each.stat().st_mtime)
    for harm in (b"\xff" * path.stat().st_size, None):
        person.aish("rewind", "@fix", f"{agent.id}.2")
        (there,) = [each for each in person.json("checkpoint", "ls", "@fix") if each["number"] == 2]
        path = path.with_name(there["cache"]["sha256"])
        if harm is None:
            path.unlink()
        else:
            path.write_bytes(harm[: there["cache"]["bytes"]].ljust(there["cache"]["bytes"], b"\xff"))
        kill(person, "smollm2")
        assert person.ask("@fix", "Name another one.") == said
        assert last(person, agent.id)[1] < there["cache"]["tokens"] // 2
    logged = [line.text for line in person.home.client.logs(agent)]
    for word in ("is damaged", "is gone, or is not whole"):
        assert any(f"{word}: the conversation" in line for line in logged), logged
    (there,) = [each for each in person.json("checkpoint", "ls", "@fix") if each["number"] == 2]
    assert (there["exact"], list(there["missing"])) == (False, ["cache"])
