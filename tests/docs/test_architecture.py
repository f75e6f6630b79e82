"""ARCHITECTURE.md is true: the tree is current, and every module, symbol and file that a page names is there."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
DOTTED = re.compile(r"`(aish(?:\.[A-Za-z_][A-Za-z0-9_]*)+)(?:\(\))?`")
FILES = re.compile(r"`((?:aish|supervisor|plugins|tests|docs|examples)/[A-Za-z0-9_./-]+)`")
LINKS = re.compile(r"\[[^\]]*\]\(([^)#:]+)(?:#[^)]*)?\)")


def prose(page: Path) -> str:
    """A page without its made tree, whose words are those of docstrings."""
    head, _, rest = page.read_text().partition("<!-- tree:")
    return head + rest.partition("<!-- end of tree -->")[2]


def named(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    return sorted({(str(page.relative_to(ROOT)), name) for page in PAGES for name in pattern.findall(prose(page))})


def test_the_tree_is_current() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "make_tree.py", "--check"], check=False)
    assert done.returncode == 0, "run: .venv/bin/python docs/make_tree.py"


@pytest.mark.parametrize(("page", "name"), named(DOTTED))
def test_every_named_symbol_resolves(page: str, name: str) -> None:
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[cut:]:
            assert hasattr(found, attribute), f"{page} names {name}; {attribute} is not there"
            found = getattr(found, attribute)
        return
    pytest.fail(f"{page} names {name}, which is no module")


@pytest.mark.parametrize(("page", "name"), named(FILES))
def test_every_named_file_exists(page: str, name: str) -> None:
    if any(mark in name for mark in ("NAME", "…", "*")):
        return
    assert (ROOT / name).exists(), f"{page} names {name}"


@pytest.mark.parametrize(("page", "target"), named(LINKS))
def test_every_relative_link_leads_somewhere(page: str, target: str) -> None:
    assert ((ROOT / page).parent / target).exists()


def test_every_package_is_listed_for_the_wheel() -> None:
    """setuptools installs only listed packages: a forgotten one works in the checkout and fails for users."""
    import tomllib

    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = set()
    for top, name in (("aish", "aish"), ("supervisor", "aish.supervisor"), ("plugins", "aish.plugins")):
        for file in (ROOT / top).rglob("__init__.py"):
            folder = file.parent.relative_to(ROOT / top)
            if not any((ROOT / top / part).is_symlink() for part in [folder, *folder.parents] if str(part) != "."):
                found.add(".".join([name, *folder.parts]))
    assert found == listed


ANCHORS = re.compile(r"\[[^\]]*\]\(([^)#: ]*)#([^)]+)\)")


def headings(page: Path) -> set[str]:
    """As the places that renderers of Markdown make of them."""
    words = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", word.strip().lower()).replace(" ", "-") for word in words}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_heading_finds_it(page: Path) -> None:
    for target, anchor in ANCHORS.findall(prose(page)):
        assert anchor in headings(page.parent / target if target else page), f"{target}#{anchor}"
