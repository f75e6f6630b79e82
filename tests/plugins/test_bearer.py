"""`login: client`: an agent's own bearer through the gateway, untouched and metered, with our key beside it. With
stand-ins; tests/clients/test_bearer.py has the real programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.agents import adapters, hosted
from aish.agents.agent import Agent
from aish.errors import UsageError
from aish.plugins.simprovider.thread import Running

from .bearer import BEARER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Home

MODELS = {"codex": "vendor-1", "opencode": "vendor/vendor-1"}


@pytest.fixture(scope="module")
def running(module_home: Home) -> Iterator[Running]:
    made = Running()
    words = ("--url", made.url, "--login", "client", "--upstream-name", "vendor-*")
    done = module_home.aish("model", "serve", "vendor", *words)
    assert done.returncode == 0, done.stderr
    yield made
    made.stop()


def agent(home: Home, adapter: str, more: str = "") -> None:
    folder = home.root / ".aish" / "agents"
    folder.mkdir(parents=True)
    program = folder / adapter
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("bearer.py")} "$@"\n')
    program.chmod(0o755)
    head = f"adapter: {adapter}\nprogram: {program}\nlogin: client\nmodel: {MODELS[adapter]}\n{more}"
    (folder / "mine.md").write_text(f"---\n{head}---\n")


@pytest.mark.parametrize("adapter", list(MODELS))
def test_a_bearer_passes_untouched_and_is_metered(shared_home: Home, running: Running, adapter: str) -> None:
    agent(shared_home, adapter)
    before = len(running.provider.requests)
    done = shared_home.aish("run", "@mine", "say 4", cwd=shared_home.root)
    assert (done.returncode, done.stdout.split()) == (0, ["w0", "w1", "w2", "w3"]), done.stderr
    came = [each for each in running.provider.requests[before:] if b"say 4" in each.body]
    (request,) = came
    assert request.headers["authorization"] == f"Bearer {BEARER}"
    assert not [value for value in request.headers.values() if "aish-" in value]
    (row,) = [each for each in shared_home.client.processes(all=True) if each.name == "mine"]
    (counted,) = [each for each in shared_home.client.requests() if each.process == row.id]
    assert (counted.output, counted.estimated) == (4, 0)
    for path in (shared_home.state, shared_home.runtime):
        held = [each for each in path.rglob("*") if each.is_file() and BEARER.encode() in each.read_bytes()]
        assert held == [], "a bearer is kept nowhere"


@pytest.mark.slow
def test_codex_has_it_in_a_variable_too(shared_home: Home, running: Running) -> None:
    agent(shared_home, "codex")
    shared_home.environ["CODEX_API_KEY"] = "sk-of-a-variable"
    shared_home.aish("run", "@mine", "say 2 of a variable", cwd=shared_home.root)
    (request,) = [each for each in running.provider.requests if b"of a variable" in each.body]
    assert request.headers["authorization"] == "Bearer sk-of-a-variable"


@pytest.mark.slow
def test_a_subscription_of_codex_is_told_what_observes_it(shared_home: Home, running: Running) -> None:
    agent(shared_home, "codex", "environment: {LOGIN: chatgpt}\n")
    done = shared_home.aish("run", "@mine", "say 2", cwd=shared_home.root)
    assert done.returncode == 69
    assert "codex has a login (chatgpt) that no API takes through a gateway" in done.stderr
    assert "login: own lets it ask its vendor, and observes it" in done.stderr


@pytest.mark.parametrize("name", ["aider", "gemini", "acp", "program", "builtin"])
def test_who_cannot_have_our_key_beside_a_login_is_refused(name: str) -> None:
    assert not adapters.passes_login(adapters.load(name))
    with pytest.raises(UsageError, match=f"login: client is not for {name}"):
        hosted.spec(Agent("mine", adapter=name, login="client"), ["x"], "/")


def test_claude_passes_its_own_login_by_either_word() -> None:
    for login in ("own", "client"):
        made = hosted.spec(Agent("mine", adapter="claude", login=login), ["x"], "/")
        assert (made.model, made.observe) == (None, None)
    assert hosted.spec(Agent("mine", adapter="codex", login="own"), ["x"], "/").observe == "codex"
    assert hosted.spec(Agent("mine", adapter="codex", login="client"), ["x"], "/").observe is None
