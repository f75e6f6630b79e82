"""docs/reference/agent-files.md is true: its examples parse, its tables are the code's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aish.agents import agent as agent_module
from aish.agents.definition import KEYS, MAP_REDUCE_KEYS, parse
from aish.agents.limits import KEYS as LIMIT_KEYS
from aish.agents.stdin import INPUT_BYTES_MAX

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "agent-files.md").read_text()
EXAMPLES = re.findall(r"^```markdown\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
RUNNER = "".join(path.read_text() for path in (ROOT / "aish" / "agents").glob("*.py"))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_are_agents(text: str) -> None:
    agent = parse(text, "example.md")
    assert agent.instructions
    assert agent.description


PAGES = [ROOT / "docs" / "agents.md", *sorted((ROOT / "examples").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_agents_of_other_pages_and_examples(page: Path) -> None:
    text = page.read_text()
    found = re.findall(r"^```markdown\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) or [text]
    for each in found:
        assert parse(each, "/x/example.md").adapter


def test_the_table_has_every_key_and_no_other() -> None:
    section = PAGE.split("## Keys")[1].split("## ")[0]
    firsts = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    told = {key for first in firsts for key in re.findall(r"`([a-z_.]+)`", first)}
    known = {key for key in KEYS if key not in ("limits", "map_reduce")}
    known |= {f"limits.{key}" for key in LIMIT_KEYS} | {f"map_reduce.{key}" for key in MAP_REDUCE_KEYS}
    assert told == known


def test_events_are_those_that_are_emitted() -> None:
    paragraph = PAGE.split("Events have ")[1].split("\n\n")[0]
    told = set(re.findall(r"`([a-z-]+)` \(", paragraph))
    assert told == set(re.findall(r"emit\(\s*\"([a-z-]+)\"", RUNNER))


def test_figures() -> None:
    assert f"up to {INPUT_BYTES_MAX >> 20} MiB" in PAGE
    assert agent_module.DEFAULT_MODEL == "default"
