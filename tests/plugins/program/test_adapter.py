"""By what a program of one's own finds its models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.model.client_environ import AZURE, variables
from aish.plugins.program.adapter import Adapter
from aish.spi.agent_adapter import Gateway, Task

if TYPE_CHECKING:
    from conftest import Home

GATEWAY = Gateway(base_url="http://127.0.0.1:1/v1", key="aish-p1-key")


def test_by_the_gateway_it_has_the_variables_of_all_clients() -> None:
    command = Adapter().attached(Task(prompt="", program="./a", model="m"), GATEWAY, "/tmp")
    assert command.environ == {**variables(GATEWAY.base_url, GATEWAY.key, "all"), "AISH_MODEL": "m"}


def test_by_its_own_login_it_has_neither_our_key_nor_our_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key would go to the gateway, which does not know it: 401."""
    ours = {**variables(GATEWAY.base_url, GATEWAY.key, "all"), **variables(GATEWAY.base_url, GATEWAY.key, AZURE)}
    for name, value in {**ours, "OPENAI_API_KEY": "sk-mine"}.items():
        monkeypatch.setenv(name, value)
    environ = Adapter().attached(Task(prompt="", program="./a", login="own"), GATEWAY, "/tmp").environ
    left = {
        name: value for name, value in {**ours, "OPENAI_API_KEY": "sk-mine", **environ}.items() if value is not None
    }
    assert left == {"OPENAI_API_KEY": "sk-mine", "OPENAI_API_VERSION": ours["OPENAI_API_VERSION"]}


def test_by_its_own_login_no_key_of_a_shell_for_models_reaches_its_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    """`aish env` had told it to the shell; with OPENAI_API_KEY among its secrets nobody knew that key."""
    theirs = variables(GATEWAY.base_url, f"aish-p5-7-{'k' * 43}", "all")
    for name, value in {**theirs, "OPENAI_API_KEY": "sk-mine"}.items():
        monkeypatch.setenv(name, value)
    unknown = Gateway(base_url=GATEWAY.base_url, key="")
    environ = Adapter().attached(Task(prompt="", program="./a", login="own"), unknown, "/tmp").environ
    left = {name: value for name, value in {**theirs, "OPENAI_API_KEY": "sk-mine", **environ}.items() if value}
    assert left == {"OPENAI_API_KEY": "sk-mine"}


@pytest.mark.slow
def test_a_key_of_its_own_reaches_it_and_nothing_of_ours_does(shared_home: Home) -> None:
    """Its file names the variable that our key would be in."""
    program = shared_home.root / "mine"
    program.write_text("#!/bin/sh\nenv | grep -E '^(OPENAI|ANTHROPIC|OLLAMA|GEMINI)_' | sort\n")
    program.chmod(0o755)
    folder = shared_home.root / ".aish" / "agents"
    folder.mkdir(parents=True)
    shared_home.environ["OPENAI_API_KEY"] = "sk-mine"
    shared_home.environ["OPENAI_BASE_URL"] = "http://127.0.0.1:2/v1"
    its = "OPENAI_API_KEY=sk-mine\nOPENAI_BASE_URL=http://127.0.0.1:2/v1\n"
    for secrets, seen in (("OPENAI_API_KEY", its), ("HOME", "")):
        (folder / "mine.md").write_text(
            f"---\nadapter: program\nprogram: {program}\nlogin: own\nsecrets: {secrets}\n---\n"
        )
        done = shared_home.aish("run", "@mine", "x", cwd=shared_home.root)
        assert (done.returncode, done.stdout) == (0, seen), done.stderr
