"""docs/reference/states.md is what the tables say."""

from __future__ import annotations

from pathlib import Path

from aish.model import state
from aish.supervisor.daemon import tables

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "states.md"


def test_the_page_is_generated_from_the_tables() -> None:
    """A changed table with the old page beside it would mislead whoever reads it."""
    assert PAGE.read_text() == tables.page(), (
        "run: python -m aish.supervisor.daemon.tables > docs/reference/states.md"
    )


def test_every_word_is_explained() -> None:
    table = tables.word_table()
    for word in state.WORDS:
        (line,) = [line for line in table.splitlines() if line.startswith(f"| {word} |")]
        assert not line.endswith("|  |"), f"nothing gives the word {word}"
