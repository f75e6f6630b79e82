"""The nearest agent of a name wins; what is broken or planted is never taken for another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aish.agents import find as agents
from aish.agents.definition import FILE_BYTES_MAX
from aish.errors import NotFoundError, SourceError


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HOME/project/deep, with the user's folder in HOME/config."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "home" / "project" / "deep").mkdir(parents=True)
    return tmp_path


def write(folder: Path, name: str, text: str = "Be brief.") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.md"
    path.write_text(text)
    return str(path)


def deep(tree: Path) -> str:
    return str(tree / "home" / "project" / "deep")


def test_the_project_before_the_user_before_the_built_in(tree: Path) -> None:
    built_in = agents.locate("summarise", deep(tree))
    assert built_in is not None
    assert built_in.endswith("aish/agents/library/summarise.md")
    user = write(tree / "config" / "aish" / "agents", "summarise")
    assert agents.locate("summarise", deep(tree)) == user
    project = write(tree / "home" / "project" / ".aish" / "agents", "summarise")
    assert agents.locate("summarise", deep(tree)) == project


def test_the_nearest_folder_is_the_project(tree: Path) -> None:
    write(tree / "home" / "project" / ".aish" / "agents", "outer")
    inner = write(tree / "home" / "project" / "deep" / ".aish" / "agents", "inner")
    assert agents.locate("inner", deep(tree)) == inner
    assert agents.locate("outer", deep(tree)) is None


def test_the_search_stops_at_home(tree: Path) -> None:
    """Above the home folder are other people's folders."""
    write(tree / ".aish" / "agents", "foreign")
    assert agents.locate("foreign", deep(tree)) is None
    at_home = write(tree / "home" / ".aish" / "agents", "mine")
    assert agents.locate("mine", deep(tree)) == at_home


def test_outside_home_the_search_goes_up_to_the_root(tree: Path) -> None:
    outside = tree / "srv" / "a" / "b"
    outside.mkdir(parents=True)
    found = write(tree / "srv" / ".aish" / "agents", "shared")
    assert agents.locate("shared", str(outside)) == found


@pytest.mark.root
def test_a_folder_that_another_user_planted_is_not_a_project(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/tmp/.aish/agents of a stranger would otherwise speak for every agent started below /tmp."""
    planted = write(tree / "home" / "project" / ".aish" / "agents", "evil")
    os.chown(os.path.dirname(planted), 12345, 12345)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert agents.locate("evil", deep(tree)) is None
    os.chown(os.path.dirname(planted), 54321, 54321)
    assert agents.locate("evil", deep(tree)) == planted


def test_names_lists_all_places_once(tree: Path) -> None:
    write(tree / "config" / "aish" / "agents", "mine")
    write(tree / "config" / "aish" / "agents", "summarise")
    write(tree / "config" / "aish" / "agents", "two words")
    (tree / "config" / "aish" / "agents" / "note.txt").write_text("no agent")
    names = agents.names(deep(tree))
    assert "mine" in names
    assert names.count("summarise") == 1
    assert {"extract", "summarise", "title", "translate"} <= set(names)
    (tree / "config" / "aish" / "agents" / "folder.md").mkdir()
    assert agents.names(deep(tree)) == names, "what cannot be run was listed, and then unknown"
    assert [os.path.basename(file) for file in agents.nameless(deep(tree))] == ["folder.md", "two words.md"]
    assert "two words" not in names
    assert "note.txt" not in names
    assert names == sorted(names)


def test_unknown_names_and_names_that_are_paths(tree: Path) -> None:
    secret = write(tree / "home" / "project", "secret")
    assert secret.endswith("secret.md")
    for name in ("nothing", "", "../secret", "../../secret", str(tree / "home" / "project" / "secret"), "p12"):
        assert agents.find(name, deep(tree)) is None


def test_a_broken_agent_does_not_fall_through_to_another(tree: Path) -> None:
    """Someone who overrides @summarise with a typo must not get the built-in one instead."""
    write(tree / "config" / "aish" / "agents", "summarise", "---\nmodle: x\n---\nx")
    with pytest.raises(SourceError, match="modle: unknown key"):
        agents.find("summarise", deep(tree))


def test_a_deleted_folder_has_no_agents_of_its_own(tree: Path) -> None:
    assert agents.locate("summarise", str(tree / "gone" / "long ago")) is not None


def test_find_reads_the_file(tree: Path) -> None:
    path = write(tree / "config" / "aish" / "agents", "brief", "---\nmodel: big\n---\nBe brief.")
    agent = agents.find("brief", deep(tree))
    assert agent is not None
    assert (agent.name, agent.model, agent.instructions, agent.file) == ("brief", "big", "Be brief.", path)


def test_files_that_are_no_agent_files(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        agents.read(str(tmp_path / "no.md"))
    with pytest.raises(SourceError, match="not a regular file"):
        agents.read(str(tmp_path))
    binary = tmp_path / "binary.md"
    binary.write_bytes(b"Be\nbrief\n\xff\xfe")
    with pytest.raises(SourceError, match=r"binary\.md:3: not UTF-8"):
        agents.read(str(binary))
    long = tmp_path / "long.md"
    long.write_bytes(b"x" * (FILE_BYTES_MAX + 1))
    with pytest.raises(SourceError, match="longer than"):
        agents.read(str(long))


@pytest.mark.parametrize("name", ["extract", "summarise", "title", "translate"])
def test_the_built_in_agents_are_agents(name: str, tree: Path) -> None:
    agent = agents.find(name, deep(tree))
    assert agent is not None
    assert agent.name == name
    assert agent.description
    assert agent.limits.max_output_tokens is not None, "a small model that loops must come to an end"
    assert agent.model == "default"


def test_a_fifo_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    """`aish agent check pipe.md` stood still until somebody wrote into it."""
    os.mkfifo(tmp_path / "pipe.md")
    with pytest.raises(SourceError, match="not a regular file"):
        agents.read(str(tmp_path / "pipe.md"))
