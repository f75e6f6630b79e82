"""Every ```console block of README and docs is run as printed: `$ command`, then its output.

What differs from run to run is let through: `…` stands for anything within a line, a line that is only `…` for any
number of lines, a number for any number (with its unit), any white space between words for any other. The commands of
one page share a home and a folder: the checkout.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Home

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [
    page for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if BLOCK.search(page.read_text())
]


def steps(page: Path) -> list[tuple[str, str]]:
    """(command, expected output) in order; a command goes on over lines that begin with `> `."""
    found: list[tuple[str, list[str]]] = []
    for block in BLOCK.findall(page.read_text()):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.startswith("> ") and not found[-1][1]:
                found[-1] = (found[-1][0] + "\n" + line[2:], [])
            else:
                found[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in found]


NUMBER = re.compile(r"(?<![A-Za-z0-9])[0-9]+(?:[.:,][0-9]+)*[A-Za-z%]{0,2}(?![A-Za-z0-9])")


def even(text: str) -> str:
    """Text with each number as `#` and each run of blanks as one."""
    return "".join(" ".join(NUMBER.sub("#", line).split()) + "\n" for line in text.splitlines())


def pattern(expected: str) -> re.Pattern[str]:
    parts = []
    for line in even(expected).splitlines():
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*?".join(re.escape(piece) for piece in line.split("…")) + r"\n")
    return re.compile("".join(parts))


@pytest.mark.model
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_page_shows_what_happens(page: Path, home: Home) -> None:
    environ = home.environ | {"PATH": f"{Path(sys.executable).parent}:{home.environ['PATH']}", "COLUMNS": "100"}
    for command, expected in steps(page):
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        shown = done.stdout
        assert pattern(expected).fullmatch(even(shown)), f"$ {command}\nprinted:\n{shown}\nexpected:\n{expected}"


def test_an_ellipsis_is_no_wildcard_for_a_missing_line() -> None:
    assert pattern("a\nb…d\n…\nz").fullmatch("a\nbcd\nx\ny\nz\n")
    assert not pattern("a\nb…d").fullmatch("a\n")
    assert not pattern("a").fullmatch("a\nb\n")


def test_numbers_are_let_through_and_words_are_not() -> None:
    assert even("p12  nap   3.1G 42s 0:07 12%") == "p12 nap # # # #\n"
    assert even("version2 a2b p12") == "version2 a2b p12\n"
