"""What git prints is read whole, whatever names of files are."""

from __future__ import annotations

from aish.worktree import parsing


def test_status_with_renames_conflicts_and_blanks() -> None:
    items = [
        "1 .M N... 100644 100644 100644 aaa bbb a b.txt",
        "2 R. N... 100644 100644 100644 aaa bbb R100 new name",
        "old name",
        "u UU N... 100644 100644 100644 100644 aaa bbb ccc both\nlines",
        "? un known",
    ]
    found = parsing.status(items)
    assert found.changed == ["a b.txt", "new name", "old name", "both\nlines"]
    assert found.conflicts == ["both\nlines"]
    assert found.untracked == ["un known"]


def test_changes() -> None:
    zero, one, two = "0" * 40, "1" * 40, "2" * 40
    items = [
        f":100644 100644 {one} {two} M",
        "a b",
        f":000000 100755 {zero} {one} A",
        "new",
        f":100644 000000 {one} {zero} D",
        "x",
    ]
    found = parsing.changes(items)
    assert [(each.letter, each.path, each.old, each.new) for each in found] == [
        ("M", "a b", one, two),
        ("A", "new", None, one),
        ("D", "x", one, None),
    ]


def test_listed_and_counted() -> None:
    assert parsing.listed(["a", "b", "c"], most=2) == "a, b and 1 more"
    assert (parsing.counted(1, "file"), parsing.counted(0, "file")) == ("1 file", "0 files")
