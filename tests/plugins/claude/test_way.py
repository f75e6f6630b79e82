"""How Claude Code is started: its key is in no argument, and nothing of another login is beside it."""

from __future__ import annotations

import os
from typing import Any

import pytest

from aish.agents import hosted
from aish.agents.agent import Agent
from aish.agents.host.bookmark import Bookmark
from aish.plugins.claude import way
from aish.spi.agent_adapter import Gateway, Task
from aish.supervisor.daemon.environ import build

GATEWAY = Gateway(base_url="http://127.0.0.1:9/v1", key="aish-p1-secret")
NAMED = "sk-aish-" + "n" * 43


def test_by_the_gateway() -> None:
    command = way.headless(Task(prompt="x", model="small", instructions="Be brief."), GATEWAY, {})
    words = list(command.argv)
    assert words[:2] == ["claude", "-p"]
    assert words[words.index("--model") + 1] == "small"
    assert words[words.index("--append-system-prompt") + 1] == "Be brief."
    assert (command.environ["ANTHROPIC_BASE_URL"], command.environ["ANTHROPIC_AUTH_TOKEN"]) == (
        "http://127.0.0.1:9",
        GATEWAY.key,
    )
    for name in (
        "ANTHROPIC_API_KEY",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "ANTHROPIC_CUSTOM_HEADERS",
        "CLAUDE_CODE_USE_BEDROCK",
    ):
        assert command.environ[name] is None
    for size in ("OPUS", "SONNET", "HAIKU"):
        assert command.environ[f"ANTHROPIC_DEFAULT_{size}_MODEL"] == "small", "helpers ask by size"


def test_default_is_the_gateways_word_and_not_its_own() -> None:
    command = way.headless(Task(prompt="x", model="default"), GATEWAY, {})
    assert command.argv[command.argv.index("--model") + 1] == "sonnet"
    assert command.environ["ANTHROPIC_DEFAULT_SONNET_MODEL"] == "default"


def test_by_its_own_login_our_key_goes_beside_it() -> None:
    own = {"ANTHROPIC_CUSTOM_HEADERS": "x-mine: 1"}
    command = way.headless(Task(prompt="x", login="own"), GATEWAY, own)
    assert command.environ["ANTHROPIC_CUSTOM_HEADERS"] == f"x-mine: 1\nx-aish-key: {GATEWAY.key}"
    assert "--model" not in command.argv
    assert not {"ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"} & set(command.environ)


def test_what_aish_env_told_its_shell_stands_in_no_login_s_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two headers of one name: which counts is the client's choice. A key goes before a login, and to its vendor; one
    of the person's own is the login."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", NAMED)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "sk-ant-theirs")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", f"X-Aish-Key: {NAMED}\nx-mine: 1")
    secrets = hosted.spec(Agent("mine", adapter="claude", login="own"), ["x"], "/").secrets
    captured = [os.fsencode(f"{name}={value}") for name, value in os.environ.items()]
    built = (os.fsdecode(entry).partition("=") for entry in build(captured, secrets, {}, GATEWAY.key))
    own = {name: value for name, _, value in built}
    assert NAMED not in str(own)
    command = way.headless(Task(prompt="x", login="own"), GATEWAY, own)
    assert command.environ["ANTHROPIC_CUSTOM_HEADERS"] == f"x-mine: 1\nx-aish-key: {GATEWAY.key}"
    assert command.environ["ANTHROPIC_API_KEY"] is None
    assert own["ANTHROPIC_AUTH_TOKEN"] == "sk-ant-theirs"
    assert "ANTHROPIC_AUTH_TOKEN" not in command.environ


@pytest.mark.parametrize("login", ["gateway", "own"])
@pytest.mark.parametrize("make", [way.headless, way.attached])
def test_the_key_is_in_no_argument(make: Any, login: Any) -> None:
    task = Task(prompt="x", login=login, model="m", session="s", arguments=("--verbose",))
    command = make(task, GATEWAY, {})
    assert not any(GATEWAY.key in word for word in command.argv)
    assert command.argv[command.argv.index("--resume") :][:2] == ("--resume", "s")


def test_a_branch_is_a_session_of_its_own_from_that_message_on() -> None:
    words = way.headless(Task(prompt="x"), GATEWAY, {}, Bookmark(session="s", at="m")).argv
    at = words.index("--resume")
    assert words[at : at + 5] == ("--resume", "s", "--resume-session-at", "m", "--fork-session")


def test_on_a_terminal_the_prompt_is_no_option() -> None:
    assert way.attached(Task(prompt="-p is what?"), GATEWAY, {}).argv[-2:] == ("--", "-p is what?")
    assert "-p" not in way.attached(Task(prompt=""), GATEWAY, {}).argv
