"""What Tab offers behind a verb."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.cli import VERBS
from aish.cli.completing import actions, after, options

if TYPE_CHECKING:
    from conftest import Home


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the help sets them: it is done in a copy of the shell."""
    monkeypatch.setenv("COLUMNS", "80")


def words(found: list[tuple[str, str]] | None) -> list[str]:
    assert found is not None
    return [word for word, _ in found]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_s_options_are_found(verb: str) -> None:
    assert all(option.startswith("--") and about != "" for option, about in options(verb) if option != "--json")
    if verb not in ("agent", "key", "model", "project", "systemd", "tensor", "window"):
        assert options(verb), verb


def test_options_and_actions_with_what_they_mean() -> None:
    assert words(after(["spawn"], "--bu")) == ["--budget"]
    assert "--upstream-name" in words(after(["model", "serve"], "--u"))
    assert words(after(["model"], "s")) == ["serve", "show", "stop"]
    assert dict(actions("key"))["revoke"].startswith("make a key invalid")
    assert {"ls", "stat", "knn"} <= set(words(after(["tensor"], "")))
    assert after(["spawn", "--"], "--bu") is None  # another program's words
    assert after(["spawn"], "x") is None


def test_a_limit_of_the_user_and_of_projects_and_of_a_day(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no process was not offered, nor that a limit may be one of a day."""
    assert words(after(["limit"], "us")) == ["user"]
    project = home.root / "web" / "aish.toml"
    project.parent.mkdir()
    project.write_text('[spawn.one]\nrun = "sleep 60"\n')
    (home.root / "of mine").mkdir()
    (home.root / "of mine" / "aish.toml").write_text(project.read_text())
    assert after(["limit"], "project:") == []
    monkeypatch.chdir(project.parent)
    assert words(after(["limit"], "project:")) == [f"project:{project}"]
    monkeypatch.chdir(home.root / "of mine")
    assert after(["limit"], "project:") == [], "no shell would take it as one word"
    assert words(after(["limit", "user"], "r")) == ["requests=", "rpm="]
    assert words(after(["limit", "project:/x"], "w")) == []
    assert words(after(["limit", "key:ci"], "ni")) == ["nice="]
    assert words(after(["limit", "long"], "w")) == ["wall=", "write="]
    assert words(after(["limit", "user", "usd=5"], "tokens=+5M")) == ["tokens=+5M/day"]
    assert words(after(["limit", "user"], "usd=2.5/d")) == ["usd=2.5/day"]
    assert words(after(["limit", "user"], "usd=")) == ["usd="]
    assert after(["limit", "user"], "rpm=5") == []


def test_named_keys_where_the_gateway_runs(home: Home) -> None:
    """`key:NAME` was not offered. Asking starts nothing, and a revoked one is of no use."""
    home.aish("spawn", "--name", "long", "--", "sleep", "60")
    assert after(["limit"], "key:") == []
    for name in ("ci", "editor"):
        assert home.aish("key", "new", name).returncode == 0
    assert home.aish("key", "revoke", "editor").returncode == 0
    assert words(after(["limit"], "key:")) == ["key:ci"]
    assert words(after(["requests"], "k")) == ["key:ci"]
    assert words(after(["key", "revoke"], "")) == ["ci"]
    assert "long" in words(after(["requests"], ""))


def test_processes_with_their_state_and_no_daemon_is_started(home: Home) -> None:
    assert after(["kill"], "") == []
    assert not (home.runtime / "daemon.sock").exists()
    home.aish("spawn", "--name", "long", "--", "sleep", "60")
    home.aish("run", "--name", "short", "--", "true")
    assert after(["kill"], "") == [("long", "running p1")]
    assert after(["kill", "-s", "INT"], "@l") == [("@long", "running p1")]
    assert words(after(["forget"], "")) == ["short"]
    assert words(after(["logs"], "")) == ["long", "short"]
    assert words(after(["limit", "long"], "v")) == ["vram="]
    assert after(["model", "serve"], "") == []
