"""The pages about top, gpu and simulated cards say what the code does."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from aish.plugins.simgpu.card import Faults
from aish.top.panels import HELP
from aish.top.table import COLUMNS
from aish.top.ui import SORTS

PAGES = Path(__file__).parents[2] / "docs" / "reference"
TOP = (PAGES / "top.md").read_text(encoding="utf-8")
SIMGPU = (PAGES / "simgpu.md").read_text(encoding="utf-8")


def test_the_keys_are_those_of_the_help_screen() -> None:
    told = re.findall(r"^\| (\S.*?) \| (.*?) \|$", TOP.split("## Keys")[1].split("## Columns")[0], re.M)
    at_keys = HELP[: HELP.index(("", ""))]
    assert told[1:-1] == [(keys, what) for keys, what in at_keys]


def test_the_columns_are_those_of_the_table_in_the_order_in_which_they_are_kept() -> None:
    told = re.findall(r"^\| ([A-Z/%]+) \|", TOP.split("## Columns")[1], re.M)
    assert told == [column.title for column in sorted(COLUMNS, key=lambda column: column.keep)]


def test_the_sort_keys_are_all_told() -> None:
    assert ", ".join(SORTS) in TOP


def test_the_faults_are_all_told() -> None:
    told = set(re.findall(r'`"(\w+)": ', SIMGPU))
    assert told == {field.name for field in fields(Faults)} - {"lost_all"}


def test_the_commands_of_the_page_are_commands(home: Any) -> None:
    """Words only: each is parsed by the real parser, with a card that is too small to run it."""
    commands = re.findall(r"python -m aish\.plugins\.simgpu (.+)$", SIMGPU, re.M)
    assert len(commands) == 5
    for words in commands:
        argv = [sys.executable, "-m", "aish.plugins.simgpu", *shlex.split(words)]
        result = subprocess.run(argv, capture_output=True, text=True, env=home.environ, timeout=60)
        expected = {"create": 0, "remove": 0}.get(argv[3], 69)  # 69: there is no card any more
        assert result.returncode == expected, (words, result.stderr)
