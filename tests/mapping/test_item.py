"""From a command and an item to what is run."""

from __future__ import annotations

import pytest

from aish.mapping.item import Run, mark_of, run_of, takes_files


@pytest.mark.parametrize(
    ("command", "item", "texts", "run"),
    [
        (["@summarise"], "a.md", False, Run(("@summarise",), stdin="a.md")),
        (["@ask", "briefly"], "why?", True, Run(("@ask", "briefly", "why?"))),
        (["@review", "look at {}: {}"], "x", False, Run(("@review", "look at x: x"))),
        (["gzip", "-9"], "a b", False, Run(("gzip", "-9", "a b"))),
        (["mv", "{}", "{}.old"], "-x", False, Run(("mv", "-x", "-x.old"))),
    ],
)
def test_run_of(command: list[str], item: str, texts: bool, run: Run) -> None:
    assert run_of(command, item, texts=texts) == run


def test_only_who_reads_files_needs_them() -> None:
    assert takes_files(["@x"], texts=False)
    assert not takes_files(["@x", "{}"], texts=False)
    assert not takes_files(["@x"], texts=True)
    assert not takes_files(["x"], texts=False)


def test_the_mark_is_that_of_the_command() -> None:
    assert mark_of(["a", "b"], texts=False) == mark_of(["a", "b"], texts=False)
    assert (
        len({mark_of(["a", "b"], texts=False), mark_of(["a b"], texts=False), mark_of(["a", "b"], texts=True)}) == 3
    )
