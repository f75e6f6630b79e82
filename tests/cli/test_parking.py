"""Agents that end for a while when a usage window is reserved for others, and go on when it has room: a real daemon,
gateway and built-in agent, and a scripted server that tells of windows in its headers.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.plugins.simprovider.server import LLAMACPP
from aish.plugins.simprovider.thread import Running

from .person import Person, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Home

    from aish.plugins.simprovider.server import Provider

DEADLINE_S = 60.0
HEAD = "tools: [write, read, shell]\npermissions: {default: allow, shell: ask}\nwhen_reserved: park\n"
USED = "anthropic-ratelimit-unified-7d-utilization"
DAYS_S = 3 * 86400.0


def until(what: str, found: Callable[[], Any]) -> Any:
    end_s = time.monotonic() + DEADLINE_S
    while not (value := found()):
        assert time.monotonic() < end_s, what
        time.sleep(0.03)
    return value


class Park(Person):
    """A person with an agent that parks, and a subscription."""

    provider: Provider

    def week(self, used: float, ends_in_s: float | None = DAYS_S) -> None:
        """So much of the week is used, from the next answer on."""
        told = {USED: str(used), "anthropic-ratelimit-unified-7d-status": "allowed"}
        if ends_in_s is not None:
            told["anthropic-ratelimit-unified-7d-reset"] = f"{time.time() + ends_in_s:.0f}"
        self.provider.told = told

    def reserve(self, part: str = "40%") -> None:
        self.aish("window", "set", "sub", f"reserve={part}")

    def room(self) -> None:
        self.aish("window", "unset", "sub")

    def rule(self) -> bool:
        return bool(self.json("window", "ls"))

    def spent(self) -> None:
        """The week is used up to its reserve, and everybody knows."""
        self.week(0.9)
        self.aish("run", "--", "@sub", "say 1")
        self.reserve()

    def row(self, agent: Any) -> Any:
        return agent.row()

    def state(self, agent: Any, word: str) -> Any:
        return until(f"{agent.id} is {word}", lambda: agent.row() if agent.row().state == word else None)

    def kinds(self, agent: Any) -> list[str]:
        return [event.kind for event in self.home.client.events(names=[agent.id])]

    def asked(self) -> list[Any]:
        """The prompts that the model saw, and how many results of tools each had behind it."""
        found = []
        for request in self.provider.requests:
            if request.path.endswith("/chat/completions"):
                messages = request.fields["messages"]
                tools = sum(message["role"] == "tool" for message in messages)
                found.append((sum(message["role"] == "user" for message in messages), tools))
        return found


@pytest.fixture(scope="module")
def subscription(module_home: Home) -> Iterator[Provider]:
    running = Running(engine=LLAMACPP, address="127.0.0.2")
    try:
        done = module_home.aish("model", "serve", "sub", "--url", running.url)
        assert done.returncode == 0, done.stderr
        yield running.provider
    finally:
        running.stop()


@pytest.fixture
def park(subscription: Provider, shared_home: Home) -> Iterator[Park]:
    shared_home.environ["AISH_MODEL"] = "sub"
    person = Park(shared_home, HEAD)
    person.provider = subscription
    subscription.told, subscription.requests[:] = {}, []
    yield person
    person.room()


def alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def answer_of(park: Park, number: int) -> Any:
    return next(each for each in park.json("mail") if each["number"] == number)


def test_a_turn_in_its_middle_is_parked_and_goes_on_there(park: Park) -> None:
    """A week's reserve: the agent's memory is given back, and nothing of its turn is done, asked or lost twice."""
    agent = park.spawn("--worktree", "--budget", "100k")
    park.state(agent, "idle")
    park.spent()
    park.week(0.3)
    first = " then ".join(["call shell " + json.dumps({"command": "echo once >> log; echo $PPID"}), "say 3"])
    number = park.json("send", agent.id, first)["number"]
    row = park.state(agent, "parked") if False else None
    assert row is None
    assert number
