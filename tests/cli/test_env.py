"""`aish env`: the same key for every shell, and a new one when that one is revoked or its file is lost."""

from __future__ import annotations

import json
import stat
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Home


def variables(home: Home) -> dict[str, str]:
    done = home.aish("env", "--json")
    assert done.returncode == 0, done.stderr
    told: dict[str, str] = json.loads(done.stdout)
    return told


def status(told: dict[str, str]) -> int:
    """What the gateway says to a program that has these variables."""
    request = urllib.request.Request(
        told["OPENAI_BASE_URL"] + "/models", headers={"Authorization": f"Bearer {told['OPENAI_API_KEY']}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def keys(home: Home) -> dict[str, bool]:
    return {row["name"]: row["revoked"] for row in json.loads(home.aish("key", "ls", "--json").stdout)}


def test_other_clients_get_their_own_names(shared_home: Home) -> None:
    first = variables(shared_home)
    url, key = first["OPENAI_BASE_URL"].removesuffix("/v1"), first["OPENAI_API_KEY"]
    done = shared_home.aish("env", "--for", "anthropic")
    assert done.stdout == f"export ANTHROPIC_BASE_URL={url}\nexport ANTHROPIC_API_KEY={key}\n"
    done = shared_home.aish("env", "--for", "anthropic-login")
    assert done.stdout == f"export ANTHROPIC_BASE_URL={url}\nexport ANTHROPIC_CUSTOM_HEADERS='x-aish-key: {key}'\n"
    azure = json.loads(shared_home.aish("env", "--for", "azure", "--json").stdout)
    version = azure.pop("OPENAI_API_VERSION")
    assert azure == {"AZURE_OPENAI_ENDPOINT": url, "AZURE_OPENAI_API_KEY": key}
    assert version, "without one that client does not start"
    everything = json.loads(shared_home.aish("env", "--for", "all", "--json").stdout)
    assert everything == {
        **first,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": key,
        "OLLAMA_HOST": url,
        "OLLAMA_API_KEY": key,
        "GOOGLE_GEMINI_BASE_URL": url,
        "GEMINI_API_KEY": key,
    }


def test_a_revoked_key_is_followed_by_another(home: Home) -> None:
    """From then on `aish env`, and `embed` outside supervision, ended with 'was revoked', for ever."""
    first = variables(home)
    assert variables(home) == first
    assert status(first) == 200
    assert home.aish("key", "revoke", "env").returncode == 0
    second = variables(home)
    assert (status(first), status(second)) == (401, 200)
    assert variables(home) == second
    assert keys(home) == {"env": True, "env-2": False}
    file = home.state / "env.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in home.state.glob("env.key*")] == ["env.key"]


@pytest.mark.parametrize("content", [None, b"", b"env", b"env sk-aish-\n", b"\xff\xfe", b"env sk-aish-a b c"])
def test_a_lost_or_odd_file_is_replaced(shared_home: Home, content: bytes | None) -> None:
    """It said 'the key env exists'; an empty file, which a full disk left, gave an empty key."""
    first = variables(shared_home)
    file = shared_home.state / "env.key"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    second = variables(shared_home)
    assert second["OPENAI_API_KEY"] != first["OPENAI_API_KEY"]
    assert status(second) == 200
    assert variables(shared_home) == second


def test_a_file_of_before_names_had_numbers_is_taken(shared_home: Home) -> None:
    first = variables(shared_home)
    (shared_home.state / "env.key").write_text(first["OPENAI_API_KEY"] + "\n")
    assert variables(shared_home) == first
