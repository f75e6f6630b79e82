"""Agents in an aish.toml: the same keys and the same reader as those of files, found by name from the same places."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aish.agents import find, limits, tables
from aish.agents.definition import KEYS, parse
from aish.cli import agent as verb
from aish.errors import AishError, NotFoundError, SourceError

PROJECT = '''\
[agents.fix]
description = "Makes the tests pass"
model = "small"
instructions = """
Find out why the tests fail.
[agents.no] is no table here
"""
tools = ["shell", "read"]
permissions = { shell = "ask", default = "deny" }
limits = { tokens = "300k", children = 2, day = { usd = 5 } }
environment = { LEVEL = "3" }
paths = ["../shared"]
worktree = true

[agents.fix.mcp_servers.docs]
command = "server"
env = { KEY = "${TOKEN}" }

[agents.old]
command = "./agent.py"

[agents.long]
file = "long.md"
temperature = 0
'''


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    inner = tmp_path / "work" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "work" / "aish.toml").write_text(PROJECT)
    (tmp_path / "work" / "long.md").write_text("A long text.\n")
    monkeypatch.chdir(inner)
    return tmp_path / "work"


def test_a_table_says_what_a_file_says(here: Path) -> None:
    found = find.find("fix", str(here / "inner"))
    assert found is not None
    assert found.instructions == "Find out why the tests fail.\n[agents.no] is no table here"
    assert (found.name, found.model, found.worktree) == ("fix", "small", "")
    assert found.acting is not None
    assert (found.acting.tools, found.acting.permissions) == (("shell", "read"), {"shell": "ask", "default": "deny"})
    assert found.acting.paths == (str(here.parent / "shared"),), "relative to the folder of the aish.toml"
    assert found.acting.mcp_servers == {"docs": {"command": "server", "env": {"KEY": "${TOKEN}"}}}
    assert (found.limits.tokens, found.limits.children, found.limits.budget) == (300_000, 2, {"usd/day": 5.0})
    assert found.environment == {"LEVEL": "3"}
    assert found.file == f"{here}/aish.toml#agents.fix"
    again = find.read(found.file)  # as the program that runs it does
    assert (again.instructions, again.name) == (found.instructions, "fix")


def test_its_text_may_be_a_file(here: Path) -> None:
    found = find.find("long", str(here))
    assert found is not None
    assert (found.instructions, found.sampling.temperature, found.adapter) == ("A long text.", 0.0, None)


def test_what_is_run_is_a_process_and_no_agent(here: Path) -> None:
    assert find.find("old", str(here)) is None
    assert {"fix", "long"} <= set(find.names(str(here)))
    assert "old" not in find.names(str(here))


def test_a_file_of_the_project_goes_before_and_the_users_behind(here: Path) -> None:
    mine = here.parent / "config" / "aish" / "agents"
    mine.mkdir(parents=True)
    (mine / "fix.md").write_text("The user's.")
    assert find.locate("fix", str(here)) == f"{here}/aish.toml#agents.fix"
    (here / ".aish" / "agents").mkdir(parents=True)
    (here / ".aish" / "agents" / "fix.md").write_text("The project's.")
    assert find.locate("fix", str(here)) == str(here / ".aish" / "agents" / "fix.md")


def test_in_an_included_file_too(here: Path) -> None:
    (here / "aish.toml").write_text('include = ["more/*.toml"]\n')
    (here / "more").mkdir()
    (here / "more" / "agents.toml").write_text('[agents.extra]\ninstructions = "Be brief."\n')
    found = find.find("extra", str(here))
    assert found is not None
    assert found.file == f"{here}/more/agents.toml#agents.extra"


WRONG = {
    "an unknown key": ('tool = []\ninstructions = "x"', 2, "agents.x.tool: unknown key", "did you mean tools?"),
    "a wrong limit": (
        'limits = { child = 3 }\ninstructions = "x"',
        2,
        "agents.x.limits.child: unknown key",
        "did you mean children?",
    ),
    "deep inside": (
        'prompt = "{input}"\n[agents.x.limits]\nwall = 5',
        4,
        "agents.x.limits.wall: expected a text",
        None,
    ),
    "a tool that there is not": ('tools = ["shel"]', 2, "agents.x.tools: no tool is called shel", "shell"),
    "nothing to do": ('model = "m"', 1, "agents.x: the agent has no instructions", 'file = "NAME.md"'),
    "both": ('instructions = "a"\nfile = "b.md"', 3, "agents.x.file: says the same as instructions", None),
    "no such file": ('file = "nowhere.md"', 2, "nowhere.md cannot be read: No such file", None),
    "a file with a head": ('file = "headed.md"', 2, "headed.md has a front matter", "agent ="),
    "a date": ("instructions = 2026-01-01", 2, "agents.x.instructions: a date", "quotes"),
    "a number": ("instructions = 5", 2, "agents.x.instructions: expected a text, found a number", None),
}


@pytest.mark.parametrize(("lines", "line", "message", "hint"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_with_line_and_key(
    here: Path, lines: str, line: int, message: str, hint: str | None
) -> None:
    (here / "aish.toml").write_text(f"[agents.x]\n{lines}\n")
    (here / "headed.md").write_text("---\nmodel: m\n---\nText.")
    with pytest.raises(SourceError) as caught:
        find.find("x", str(here))
    assert message in caught.value.message
    assert caught.value.file.endswith("aish.toml")
    assert caught.value.line == line
    assert hint is None or hint in (caught.value.hint or "")


def test_a_broken_file_is_told_and_takes_nothing_else_away(here: Path) -> None:
    """A slip in aish.toml must run no other agent of that name, nor keep those from running that it does not name."""
    (here / "aish.toml").write_text("[agents.summarise]\ninstructions = \n")
    with pytest.raises(SourceError, match="not TOML"):
        find.find("summarise", str(here))
    assert find.find("title", str(here)) is not None


def test_shown_listed_and_checked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verb.main(["ls"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("fix"))
    assert "aish.toml#agents.fix" in row
    assert verb.main(["show", "@fix"]) == 0
    shown = capsys.readouterr().out
    assert "limits: tokens=300000 usd=5/day children=2" in shown
    assert '[agents.fix]\ndescription = "Makes the tests pass"' in shown
    assert 'KEY = "${TOKEN}"' in shown
    assert "agents.old" not in shown
    assert verb.main(["check", "fix", "@long"]) == 0
    (here / "aish.toml").write_text(PROJECT.replace('tools = ["shell"', 'tools = ["shel"'))
    assert verb.main(["check"]) == 2, "all that is found from here"
    assert "agents.fix.tools: no tool is called shel" in capsys.readouterr().err
    with pytest.raises(NotFoundError, match="no agent is called fxi"):
        verb._place("fxi")


def test_every_key_of_a_file_may_stand_in_a_table(here: Path) -> None:
    """One reader for both: what a head may say is neither unknown nor another word here."""
    for key in KEYS:
        (here / "aish.toml").write_text(f'[agents.x]\n{key} = "?"\ninstructions = "x"\n')
        in_a_table = told(lambda: find.find("x", str(here)))
        in_a_file = told(lambda key=key: parse(f'---\n{key}: "?"\n---\nx', f"{here}/x.md"))
        assert in_a_table.replace("agents.x.", "") == in_a_file
    for key in limits.KEYS:
        (here / "aish.toml").write_text(f'[agents.x]\nlimits.{key} = "?"\ninstructions = "x"\n')
        assert "unknown key" not in told(lambda: find.find("x", str(here)))


def told(read: object) -> str:
    try:
        read()  # type: ignore[operator]
    except AishError as error:
        return error.message
    return ""


def test_it_is_another_one_when_its_table_or_its_text_changes(here: Path) -> None:
    before = [find.digest(tables.place(f"{here}/aish.toml", name)) for name in ("fix", "long")]
    (here / "long.md").write_text("Another text.\n")
    after = [find.digest(tables.place(f"{here}/aish.toml", name)) for name in ("fix", "long")]
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def test_agents_of_plugins_are_found_behind_all_others(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = here.parent / "site"
    package = site / "some_agents"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "poet.md").write_text("Write a poem.")
    (package / "summarise.md").write_text("Not aish's own.")
    info = site / "some_agents-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-agents\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[aish.agents]\nsome = some_agents\ngone = no_such_package\n")
    monkeypatch.syspath_prepend(str(site))
    assert find.locate("poet", str(here)) == str(package / "poet.md")
    assert "poet" in find.names(str(here))
    assert find.locate("summarise", str(here)) != str(package / "summarise.md")


def test_the_verb_reads_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verb.main(["show", "--json", "long"]) == 0
    assert json.loads(capsys.readouterr().out)["instructions"] == "A long text."
