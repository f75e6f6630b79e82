"""By what Gemini CLI finds the gateway, and that nothing of the person's is written to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aish.plugins.gemini.adapter import Adapter
from aish.plugins.gemini.home import settings
from aish.spi.agent_adapter import Command, Gateway, Task

GATEWAY = Gateway(base_url="http://127.0.0.1:1/v1", key="aish-key")


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a login of its own."""
    (tmp_path / "person" / ".gemini").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    monkeypatch.delenv("GEMINI_CLI_HOME", raising=False)
    return tmp_path / "person" / ".gemini"


def test_our_login_goes_before_the_persons_and_the_rest_is_theirs(person: Path, tmp_path: Path) -> None:
    text = '{"ui": {"theme": "http://x"}, // mine\n "security": {"auth": {"selectedType": "oauth-personal"}}}'
    (person / "settings.json").write_text(text)
    (person / "GEMINI.md").write_text("Be brief.")
    command = Adapter().attached(Task(prompt="go", model="m"), GATEWAY, str(tmp_path / "run"))
    assert command.argv == ("gemini", "--model", "m", "--prompt-interactive", "go")
    environ = command.environ
    assert environ["GOOGLE_GEMINI_BASE_URL"] == "http://127.0.0.1:1"
    assert environ["GEMINI_API_KEY"] == "aish-key"
    made = Path(environ["GEMINI_CLI_HOME"] or "") / ".gemini"
    found = json.loads((made / "settings.json").read_text())
    assert found == {"ui": {"theme": "http://x"}, "security": {"auth": {"selectedType": "gemini-api-key"}}}
    assert (made / "GEMINI.md").read_text() == "Be brief."
    assert (person / "settings.json").read_text() == text


def test_what_it_writes_there_stays_and_what_the_person_removes_goes(person: Path, tmp_path: Path) -> None:
    """Its sessions are gone on with in a later turn; a link that leads nowhere would be an error of its own."""
    (person / "GEMINI.md").write_text("Be brief.")
    task = Task(prompt="go")
    made = Path(Adapter().environ(task, GATEWAY, str(tmp_path))["GEMINI_CLI_HOME"] or "") / ".gemini"
    (made / "projects.json").write_text("{}")
    (person / "projects.json").write_text("theirs")
    (person / "GEMINI.md").unlink()
    Adapter().environ(task, GATEWAY, str(tmp_path))
    assert (made / "projects.json").read_text() == "{}"
    assert sorted(path.name for path in made.iterdir()) == ["projects.json", "settings.json"]


def test_without_a_home_of_its_own_there_is_one_all_the_same(person: Path, tmp_path: Path) -> None:
    person.rmdir()
    environ = Adapter().environ(Task(prompt=""), GATEWAY, str(tmp_path / "run"))
    assert (Path(environ["GEMINI_CLI_HOME"] or "") / ".gemini" / "settings.json").exists()
    assert not person.exists()


@pytest.mark.parametrize("theirs", ["", "{", "[]", '{"security": 1}', '{"security": {"auth": []}}', "[" * 100_000])
def test_settings_that_are_wrong_are_as_none(theirs: str) -> None:
    assert settings(theirs)["security"] == {"auth": {"selectedType": "gemini-api-key"}}


def test_with_its_own_login_nothing_is_made(person: Path, tmp_path: Path) -> None:
    environ = Adapter().environ(Task(prompt="", login="own"), GATEWAY, str(tmp_path / "run"))
    assert "GEMINI_CLI_HOME" not in environ
    assert not (tmp_path / "state").exists()


def test_in_a_sandbox_its_home_is_one_that_stays_and_its_commands_have_no_terminal(tmp_path: Path) -> None:
    """Ours is in aish's own folder, which no sandbox has. By Landlock a command came to `forkpty(3) failed`."""
    kept = str(tmp_path / "kept")

    class Confined:
        stays = kept

        def reads(self, path: str) -> bool:
            return False

    command = Command(argv=("gemini",), environ={"GEMINI_CLI_HOME": "/state/gemini"})
    for login in ("gateway", "own"):
        placed = Adapter().placed(command, Task(prompt="", login=login), Confined())  # type: ignore[arg-type]
        assert placed.environ == {"GEMINI_CLI_HOME": kept}
    made = json.loads((tmp_path / "kept" / ".gemini" / "settings.json").read_text())
    assert made == {"tools": {"shell": {"enableInteractiveShell": False}}}
    assert Adapter().placed(command, Task(prompt=""), None) == command
