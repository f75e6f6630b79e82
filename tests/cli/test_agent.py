"""`aish agent`: what is shown of agent files, and new ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aish.agents import draft, find
from aish.cli import agent
from aish.errors import ConflictError, NotFoundError, UsageError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "adapter", "tools"),
    [
        ([], None, None),
        (["--tools", "shell,read,fetch"], "builtin", ("shell", "read", "fetch")),
        (["--tools", ""], "builtin", ()),
        (["--adapter", "program"], "program", None),
        (["--adapter", "builtin"], "builtin", ()),
    ],
)
def test_a_new_file_is_right_as_it_is(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    adapter: str | None,
    tools: tuple[str, ...] | None,
) -> None:
    assert agent.main(["new", "mine", *words]) == 0
    file = here / ".aish" / "agents" / "mine.md"
    assert capsys.readouterr().out == f"{file}\n"
    made = find.find("mine", str(here))
    assert made is not None
    assert made.adapter == adapter
    assert (made.acting and made.acting.tools) == tools
    assert made.limits.tokens
    assert (made.sandbox and made.sandbox.profile) == ("dev" if "shell" in (tools or ()) else None)


def test_nothing_is_overwritten(here: Path) -> None:
    agent.main(["new", "mine"])
    (here / ".aish" / "agents" / "mine.md").write_text("my work")
    with pytest.raises(ConflictError):
        agent.main(["new", "mine", "--tools", "shell"])
    assert (here / ".aish" / "agents" / "mine.md").read_text() == "my work"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["p12"], UsageError),
        (["../x"], UsageError),
        (["mine", "--tools", "shel"], UsageError),
        (["mine", "--adapter", "progam"], NotFoundError),
        (["mine", "--adapter", "program", "--tools", "shell"], UsageError),
    ],
)
def test_what_cannot_be_made_leaves_nothing(here: Path, words: list[str], error: type[Exception]) -> None:
    with pytest.raises(error):
        agent.main(["new", *words])
    assert not (here / ".aish").exists()


def test_every_commented_line_of_a_draft_is_a_key() -> None:
    """A comment that was uncommented must not be an error."""
    from aish.agents.definition import parse

    for tools in (None, ("shell", "fetch")):
        lines = [line for line in draft.text(None, tools).splitlines() if not line.startswith("# mcp_servers")]
        lines = [line for line in lines if not line.startswith("# schema")]  # they need their files
        parse(
            "\n".join("  " + line[4:] if line.startswith("#   ") else line.removeprefix("# ") for line in lines),
            "/x/a.md",
        )


def test_what_an_agent_may_do_is_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = here / ".aish" / "agents"
    folder.mkdir(parents=True)
    head = (
        "tools: [shell, read]\npermissions: {shell: ask, default: deny}\nmcp_servers: {web: {url: 'https://x.org'}}"
    )
    (folder / "acts.md").write_text(f"---\n{head}\n---\nDo it.")
    assert agent.main(["ls"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("acts"))
    assert "builtin" in line
    assert "shell,read,web_*" in line
    assert agent.main(["show", "acts"]) == 0
    shown = capsys.readouterr().out
    assert "# adapter: builtin; tools: shell,read,web_*; permissions: shell ask, default deny" in shown
    assert agent.main(["check", "--json", str(folder / "acts.md")]) == 0
    found = json.loads(capsys.readouterr().out)
    found = found[0] if isinstance(found, list) else found
    assert '"permissions": {"shell": "ask", "default": "deny"}' in json.dumps(found)


def test_check_says_which_files_no_name_finds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They were passed over in silence: their author looked for the mistake in the text."""
    folder = here / ".aish" / "agents"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "my agent.md").write_text("Answer.")
    assert agent.main(["check"]) == 2
    told = capsys.readouterr().err
    assert f"{folder}/my agent.md: its name is none for an agent: no @NAME finds it" in told
    assert "letters, digits" in told


def test_check_finds_an_adapter_that_there_is_not(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file was right by its keys, and could never run."""
    (here / "mine.md").write_text("---\nadapter: cladue\n---\nDo it.")
    assert agent.main(["check", "./mine.md"]) == 69
    assert "did you mean claude?" in capsys.readouterr().err
    (here / "mine.md").write_text("Do it.")
    assert agent.main(["check", "./mine.md"]) == 0
    assert capsys.readouterr().out == "1 agent, no problems\n"
