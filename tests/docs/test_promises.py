"""docs/security.md and docs/faults.md: each row names the tests that show it, and those are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLES = {"docs/security.md": "## Promises\n", "docs/faults.md": "# Faults\n"}
TEXTS = {page: (ROOT / page).read_text() for page in TABLES}
NAMED = [
    pytest.param(file, name, id=f"{Path(page).stem}-{name}")
    for page, text in TEXTS.items()
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
]


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_what_shows_it_is_there(file: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", TABLES)
def test_every_row_has_one(page: str) -> None:
    table = TEXTS[page].split(TABLES[page])[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 15
    assert [row for row in rows if "::" not in row] == []
