"""By what opencode finds the gateway: pure."""

from __future__ import annotations

import json

import pytest

from aish.errors import UsageError
from aish.plugins.opencode.adapter import CONFIG, Adapter
from aish.spi.agent_adapter import Command, Gateway, Task

GATEWAY = Gateway(base_url="http://127.0.0.1:1/v1", key="aish-key")


def test_its_configuration_has_the_gateway_the_model_and_what_it_asks_for() -> None:
    command = Adapter().attached(Task(prompt="", model="org/m"), GATEWAY, "/tmp")
    assert command.argv == ("opencode",)
    config = json.loads(command.environ[CONFIG] or "")
    provider = config["provider"]["aish"]
    assert provider["options"] == {"baseURL": GATEWAY.base_url, "apiKey": "aish-key"}
    assert (config["model"], list(provider["models"])) == ("aish/org/m", ["org/m"])
    assert config["permission"] == {"edit": "ask", "bash": "ask", "webfetch": "ask"}
    assert "aish-key" not in " ".join(command.argv)


def test_what_the_file_allows_it_does_not_ask_for() -> None:
    command = Adapter().attached(Task(prompt="go", permissions="allow", session="s"), GATEWAY, "/tmp")
    assert command.argv == ("opencode", "--session", "s", "--prompt", "go")
    assert "permission" not in json.loads(command.environ[CONFIG] or "")


def test_with_its_own_login_its_configuration_is_left_alone() -> None:
    assert CONFIG not in Adapter().environ(Task(prompt="", login="own"), GATEWAY, "/tmp")


def test_its_own_bearer_is_beside_our_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", GATEWAY.key)
    task = Task(prompt="", login="client", model="anthropic/claude-x")
    environ = Adapter().environ(task, GATEWAY, "/tmp")
    assert environ["OPENAI_API_KEY"] is None, "it would be a login of that provider"
    config = json.loads(environ[CONFIG] or "")
    options = config["provider"]["anthropic"]["options"]
    assert options == {"baseURL": GATEWAY.base_url, "headers": {"x-aish-key": GATEWAY.key}}
    assert (config["model"], config["enabled_providers"]) == ("anthropic/claude-x", ["anthropic"])


@pytest.mark.parametrize("model", [None, "claude-x", "anthropic/"])
def test_its_own_bearer_is_of_a_provider_that_is_named(model: str | None) -> None:
    with pytest.raises(UsageError, match="its model names none"):
        Adapter().environ(Task(prompt="", login="client", model=model), GATEWAY, "/tmp")


def test_its_conversations_are_where_a_sandbox_leaves_them() -> None:
    """Its home there is gone with each turn, and with it the session that the next one goes on with."""

    class Confined:
        stays = "/kept"

        def reads(self, path: str) -> bool:
            return False

    placed = Adapter().placed(Command(argv=("opencode",), environ={"A": "1"}), Task(prompt=""), Confined())  # type: ignore[arg-type]
    assert placed.environ == {"A": "1", "OPENCODE_DB": "/kept/opencode.db"}
    assert Adapter().placed(Command(argv=("opencode",)), Task(prompt=""), None).environ == {}
