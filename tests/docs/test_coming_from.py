"""coming-from.md: every command of ours on it is one, with these options; every key is one of aish.toml. The sessions
in it are run as those of the other pages are. And glossary.md is in order."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from aish.cli import VERBS

PAGES = Path(__file__).resolve().parents[2] / "docs" / "reference"
TEXT = (PAGES / "coming-from.md").read_text()
ROW = re.compile(r"^\| (.+?) \| (.+) \|$", re.M)
SPAN = re.compile(r"`([^`]+)`")
OURS = sorted(
    {
        command.strip()
        for _, ours in ROW.findall(TEXT)
        for span in SPAN.findall(ours)
        for command in span.split("&&")
        if command.strip().startswith("aish ")
    }
)


@cache
def helped(*words: str) -> str:
    """What `aish VERB [ACTION] --help` prints."""
    asked = [sys.executable, "-m", "aish", *words, "--help"]
    return subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("command", OURS)
def test_a_command_of_ours_is_one(command: str) -> None:
    words = shlex.split(command.partition(" -- ")[0])[1:]
    assert words[0] in VERBS, command
    actions = words[:2] if words[0] in ("project", "systemd") else words[:1]
    told = helped(*actions)
    for word in words:
        if word.startswith("-"):
            assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", told), f"{command}: {word}"


def test_there_are_commands_for_each_tool() -> None:
    parts = TEXT.split("\n## ")[1:]
    assert [part.splitlines()[0] for part in parts] == [
        "systemd",
        "supervisord",
        "pm2",
        "tmux and screen",
        "docker compose",
    ]
    for part in parts:
        assert sum("`aish " in ours for _, ours in ROW.findall(part)) >= 10
        assert "```console" in part


def test_every_key_is_one_of_aish_toml() -> None:
    reference = set(re.findall(r"^\| `([a-z_.]+)` \|", (PAGES / "aish-toml.md").read_text(), re.M))
    tables = re.findall(r"^\| in [^|]+ \| in aish.toml \|\n\|---\|---\|\n((?:\|.*\n)+)", TEXT, re.M)
    assert len(tables) == 3
    for table in tables:
        for _, ours in ROW.findall(table):
            keys = [span for span in SPAN.findall(ours) if not span.startswith(('"', "aish "))]
            assert keys, ours
            assert set(keys) <= reference, set(keys) - reference


def test_the_words_of_the_glossary_are_in_order_and_told_once() -> None:
    words = [word for word, _ in ROW.findall((PAGES / "glossary.md").read_text())][1:]
    assert words == sorted(set(words))
    assert {"keeper", "holder", "daemon", "hand back", "hold"} <= set(words)
