"""The page about Python is true: its blocks run as printed, against a real supervisor, and are well typed; so is the
example beside it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aish.client import asks, blocking
from aish.project import Project

if TYPE_CHECKING:
    from conftest import Home

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "python.md"
EXAMPLE = ROOT / "examples" / "fleet.py"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
IDS = re.compile(r"\bp\d+\b")
BLOCKS: list[tuple[str, str]] = BLOCK.findall(PAGE.read_text())


def run(home: Home, code: str | Path, *words: str) -> str:
    script = home.root / "script.py"
    script.write_text(code if isinstance(code, str) else code.read_text())
    done = subprocess.run(
        [sys.executable, "-W", "error", script, *words],
        env=home.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout


def test_every_block_prints_what_stands_below_it(home: Home) -> None:
    assert len(BLOCKS) >= 5
    for code, expected in BLOCKS:
        assert IDS.sub("p1", run(home, code)) == IDS.sub("p1", expected), code


def test_the_example_does_what_it_says(home: Home) -> None:
    printed = run(home, EXAMPLE, "7").splitlines()
    assert printed[-1] == "try-4 made it: try 4"
    assert all(line.startswith("failed: try-") for line in printed[:-1])
    assert home.aish("ps", "-q").stdout == "", "the others were ended"


def test_blocks_and_example_are_well_typed(tmp_path: Path) -> None:
    files = [EXAMPLE]
    for number, (code, _) in enumerate(BLOCKS):
        files.append(tmp_path / f"block_{number}.py")
        files[-1].write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases", "--no-error-summary", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_names_no_method_that_is_not_there() -> None:
    prose = BLOCK.sub("", PAGE.read_text())
    named = re.findall(r"`(?:aish|end|line|process|shop)?\.?(\w+)\((?!\w+=)", prose)
    known = {*dir(blocking.Aish), *dir(blocking.Process), *dir(asks), *dir(Project), "resolve", "Aish", "Project"}
    assert set(named) <= known, set(named) - known
