"""How Codex is started: its key is in no argument, and its own login is left alone."""

from __future__ import annotations

import itertools
import tomllib
from typing import Any

import pytest

from aish.agents.host.bookmark import Bookmark
from aish.plugins.codex import way
from aish.spi.agent_adapter import Gateway, Task

GATEWAY = Gateway(base_url="http://127.0.0.1:9/v1", key="aish-p1-secret")


def settings(argv: tuple[str, ...]) -> dict[str, Any]:
    given = [after for word, after in itertools.pairwise(argv) if word == "-c"]
    return tomllib.loads("\n".join(given))


def test_by_the_gateway() -> None:
    command = way.headless(Task(prompt="x", model="small", arguments=("-c", "a=1")), GATEWAY, {})
    assert (command.argv[0], command.argv[-1]) == ("codex", "app-server")
    found = settings(command.argv)
    assert found["model_provider"] == "aish"
    provider = found["model_providers"]["aish"]
    assert (provider["base_url"], provider["wire_api"]) == (GATEWAY.base_url, "responses")
    assert command.environ[provider["env_key"]] == GATEWAY.key
    assert found["a"] == 1


@pytest.mark.parametrize("make", [way.headless, way.attached])
def test_its_own_login_is_left_alone(make: Any) -> None:
    command = make(Task(prompt="", login="own"), GATEWAY, {})
    assert "-c" not in command.argv
    assert set(command.environ.values()) == {None}, "it would ask the gateway with a key that is none of its"


@pytest.mark.parametrize(
    ("own", "bearer"), [({}, {"requires_openai_auth": True}), ({way.OWN_KEY: "sk-x"}, {"env_key": way.OWN_KEY})]
)
def test_by_the_gateway_with_a_bearer_of_its_own_beside_our_key(own: dict[str, str], bearer: dict[str, Any]) -> None:
    command = way.headless(Task(prompt="x", login="client"), GATEWAY, own)
    provider = settings(command.argv)["model_providers"]["aish"]
    assert provider["base_url"] == GATEWAY.base_url
    assert {name: value for name, value in provider.items() if name in ("env_key", "requires_openai_auth")} == bearer
    ((header, variable),) = provider["env_http_headers"].items()
    assert (header, command.environ[variable]) == ("x-aish-key", GATEWAY.key)
    assert way.OWN_KEY not in command.environ, "it is left as it is"
    assert command.environ[way.KEY] is None
    assert way.thread(Task(prompt="x", login="client"))[1]["modelProvider"] == "aish"


@pytest.mark.parametrize("make", [way.headless, way.attached])
def test_the_key_is_in_no_argument(make: Any) -> None:
    command = make(Task(prompt="x", model="m", session="s", instructions='say "no"\n'), GATEWAY, {})
    assert not any(GATEWAY.key in word for word in command.argv)


def test_a_conversation() -> None:
    task = Task(prompt="x", model="m", instructions="Be brief.", cwd="/work")
    method, said = way.thread(task)
    assert (method, said["developerInstructions"], said["modelProvider"]) == ("thread/start", "Be brief.", "aish")
    assert way.thread(Task(prompt="x", session="s", login="own")) == (
        "thread/resume",
        {"cwd": ".", "threadId": "s"},
    )
    assert way.thread(Task(prompt="x", login="own"), Bookmark(session="s", at="u")) == (
        "thread/fork",
        {"cwd": ".", "threadId": "s", "lastTurnId": "u"},
    )


def test_on_a_terminal() -> None:
    task = Task(prompt="-p?", model="m", session="s", instructions='say "no"\n')
    command = way.attached(task, GATEWAY, {})
    assert command.argv[-3:] == ("s", "--", "-p?")
    assert "resume" in command.argv
    found = settings(command.argv)
    assert (found["model"], found["developer_instructions"]) == ("m", 'say "no"\n')
