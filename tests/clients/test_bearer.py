"""With a bearer of their own (`login: client`): it passes the gateway untouched and is kept nowhere, beside our key.
A whole turn with a tool is held at a budget, raised, asked for and counted as by a key of ours."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from .conftest import DEADLINE_S

if TYPE_CHECKING:
    from .conftest import Client

pytestmark = [pytest.mark.clients, pytest.mark.timeout(240)]
BEARER = "sk-a-bearer-of-a-test"
HEADERS = {"claude": "authorization", "codex": "authorization", "opencode": "x-api-key"}
"""Where each has it: opencode by Anthropic's provider, as its own auth.json has a key for it."""


def logged_in(client: Client) -> None:
    """As a person does it once; for Claude Code by a variable."""
    match client.name:
        case "claude":
            client.home.environ["CLAUDE_CODE_OAUTH_TOKEN"] = BEARER
        case "codex":
            words = ["codex", "login", "--with-api-key"]
            subprocess.run(words, env=client.home.environ, input=BEARER, text=True, check=True, capture_output=True)
        case _:
            folder = client.home.root / "data" / "opencode"
            folder.mkdir()
            (folder / "auth.json").write_text(json.dumps({"anthropic": {"type": "api", "key": BEARER}}))


def served(client: Client) -> str:
    """The word for its model."""
    origin = client.running.url.removesuffix("/v1")
    url = ("--url", client.running.url) if client.name == "codex" else ("--url", origin, "--dialect", "anthropic")
    words = ("model", "serve", "vendor", *url, "--login", "client", "--upstream-name", "vendor-*")
    done = client.home.aish(*words)
    assert done.returncode == 0, done.stderr
    return "anthropic/vendor-1" if client.name == "opencode" else "vendor-1"


def kept(client: Client) -> list[str]:
    """Files of aish's that have it."""
    found = []
    for top in (client.home.state, client.home.runtime, client.home.data, client.home.config):
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        found += [path] if BEARER.encode() in file.read() else []
    return found


@pytest.mark.parametrize("client", list(HEADERS), indirect=True)
@pytest.mark.parametrize("seconds", [3, pytest.param(61, marks=pytest.mark.slow)])
def test_a_turn_with_a_tool_held_at_a_budget(client: Client, seconds: int) -> None:
    logged_in(client)
    model = served(client)
    client.agent_file("mine", f"login: client\nmodel: {model}\n")
    process = client.spawn(client.tool("touch made && echo say 4"), "--budget", "tokens=50", agent="mine")
    client.until(process, "held")
    assert process.row().state == "over-budget"
    held_s = time.monotonic()
    while time.monotonic() - held_s < seconds:  # that nothing happens has no event
        assert process.row().ended_s is None, client.log(process)
        time.sleep(0.25)
    assert client.asked() == []
    assert client.home.aish("limit", process.id, "tokens=+500k").returncode == 0
    client.until(process, "asked")
    assert not (client.home.root / "made").exists()
    assert client.home.aish("answer", process.id, "allow").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0, client.log(process)
    assert (client.home.root / "made").exists()
    assert client.log(process, "stdout").split() == ["w0", "w1", "w2", "w3"]
    came = client.asked()
    assert len(came) >= 2
    for request in came:
        assert request.headers[HEADERS[client.name]].removeprefix("Bearer ") == BEARER
        assert "x-aish-key" not in request.headers
        assert not [value for value in request.headers.values() if "aish-" in value]
    assert client.counted(process) == client.told_tokens()
    at_rest = [path for path in kept(client) if not path.startswith(str(client.home.runtime / "env"))]
    assert at_rest == []


@pytest.mark.parametrize("client", ["codex"], indirect=True)
def test_codex_with_a_bearer_in_a_variable(client: Client) -> None:
    model = served(client)
    client.agent_file("mine", f"login: client\nmodel: {model}\n")
    client.home.environ["CODEX_API_KEY"] = BEARER
    done = client.home.aish("run", "@mine", "say 4", cwd=client.home.root)
    assert done.stdout.split() == ["w0", "w1", "w2", "w3"], done.stderr
    assert {each.headers["authorization"] for each in client.asked()} == {f"Bearer {BEARER}"}


@pytest.mark.parametrize("client", ["codex"], indirect=True)
def test_codex_without_a_login_says_what_to_do(client: Client) -> None:
    model = served(client)
    client.agent_file("mine", f"login: client\nmodel: {model}\n")
    done = client.home.aish("run", "@mine", "say 4", cwd=client.home.root)
    assert done.returncode == 69
    assert "codex has no login of its own" in done.stderr
    assert "codex login --with-api-key" in done.stderr
    assert client.asked() == []
