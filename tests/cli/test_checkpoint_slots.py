"""Checkpoints with what the model's server has of a conversation: the embedded model, the built-in agent, a real
repository. What counts is what the server itself says that it has read."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .person import Person

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def test_after_two_turns(person: Person) -> None:
    agent = person.spawn("--worktree")
    print(person.aish("ask", "@fix", "Name a colour."))
    print(last(person, agent.id))
    print(person.aish("ask", "@fix", "Name another one."))
    print(last(person, agent.id))
    print(person.aish("checkpoint", "@fix", "--name", "two"))
    print(person.aish("checkpoint", "ls", "@fix"))
    print(person.aish("checkpoint", "show", "two"))
    print(person.aish("ask", "@fix", "And one more."))
    print(last(person, agent.id))
    print(person.aish("rewind", "@fix", "two"))
    print(person.aish("ask", "@fix", "Which was the first?"))
    print(last(person, agent.id))
    print(person.home.aish("logs", "gateway").stdout[-3000:])
    import subprocess; print(subprocess.run(["find", str(person.home.state), "-ls"], capture_output=True, text=True).stdout[-5000:]); print(next((person.home.state/"agents").glob("*-"+agent.id+"/position.json")).read_text())
    assert 0
