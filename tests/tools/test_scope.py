"""Whose a process is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aish.model import label
from aish.tools import results, scope
from aish.wire.part import ProcessPart


def row(id: str, parent: str | None = None, **labels: str) -> ProcessPart:
    return ProcessPart(
        id=id,
        name=id,
        kind="command",
        state="running",
        lifecycle="running",
        parent=parent,
        labels=labels,
        created_s=0,
    )


def test_what_is_below_ones_own_is_ones_own() -> None:
    labels = scope.labels_of("editor", "/web")
    rows = [
        row("p5", "p4"),  # the table is in no order
        row("p1"),
        row("p2", "p1", **labels),
        row("p3", mcp="editor"),
        row("p4", "p2"),
        row("p6", "p3", **scope.labels_of("editor", "/other")),
        row("p7", "gone"),
    ]
    assert scope.own(rows, labels) == {"p2", "p4", "p5"}


def test_parents_come_before_their_children() -> None:
    rows = [row("p3", "p2"), row("p1"), row("p2", "p1"), row("p4", "p1"), row("p5", "gone")]
    assert [each.id for each in results.tree_order(rows)] == ["p1", "p2", "p3", "p4", "p5"]


@given(st.text(), st.text())
def test_any_name_and_folder_make_labels(client: str, folder: str) -> None:
    label.check(scope.labels_of(client, folder))


def test_the_default_guards_the_user_and_not_the_tree() -> None:
    assert [scope.default(standing) for standing in ("user", "process", "nobody")] == ["own", "all", "own"]
