"""Order and branches of the process table."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.top.rows import index_of, related, rows
from aish.top.table import ended
from aish.top.ui import SORTS, Ui
from aish.wire.part import ExitPart, ProcessPart
from aish.wire.reply import View


def part(number: int, parent: int | None = None, **fields: Any) -> ProcessPart:
    base: dict[str, Any] = {"kind": "command", "state": "running", "lifecycle": "running", "created_s": float(number)}
    return ProcessPart(
        id=f"p{number}",
        name=fields.pop("name", f"n{number}"),
        parent=None if parent is None else f"p{parent}",
        **{**base, **fields},
    )


def listed(*parts: ProcessPart, **choices: Any) -> list[tuple[str, str]]:
    view = View(time_s=0.0, host="h", processes=list(parts))
    return [(row.process.id, row.stem) for row in rows(view, Ui(**choices))]


def test_children_stand_below_their_parent_with_branches() -> None:
    assert listed(part(1), part(2), part(3, 1), part(4, 3), part(5, 1), part(6, 5)) == [
        ("p1", ""),
        ("p3", "├"),
        ("p4", "│└"),
        ("p5", "└"),
        ("p6", " └"),
        ("p2", ""),
    ]


def test_a_process_whose_parent_is_not_shown_is_a_root() -> None:
    assert listed(part(3, 1), part(4, 3)) == [("p3", ""), ("p4", "└")]


def test_a_circle_of_parents_is_shown_and_ends() -> None:
    """The daemon makes none; a damaged journal could."""
    assert sorted(listed(part(1, 2), part(2, 1), part(3, 3))) == [("p1", ""), ("p2", "└"), ("p3", "")]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 9)))))
def test_every_process_is_listed_once(pairs: list[tuple[int, int | None]]) -> None:
    parts = {number: part(number, parent) for number, parent in pairs}
    for sort in SORTS:
        assert sorted(id for id, _ in listed(*parts.values(), sort=sort)) == sorted(p.id for p in parts.values())


def test_a_filter_keeps_what_matches_and_the_way_to_it() -> None:
    parts = (part(1), part(2, 1, name="pytest"), part(3, 1), part(4), part(5, argv=[b"x", b"run-PyTest"]))
    assert listed(*parts, filter="pytest") == [("p1", ""), ("p2", "└"), ("p5", "")]
    assert listed(*parts, filter="pytest", sort="name") == [("p5", ""), ("p2", "")]
    assert listed(*parts, filter="nothing") == []


@pytest.mark.parametrize(
    ("field", "sort", "values", "order"),
    [
        ("cpu_percent", "cpu", (1.0, None, 9.0), ["p3", "p1", "p2"]),
        ("rss_bytes", "rss", (1, None, 9), ["p3", "p1", "p2"]),
        ("vram_bytes", "vram", (0, None, 9), ["p3", "p1", "p2"]),
        ("cpu_percent", "cpu", (float("nan"), 0.0, 9.0), ["p3", "p2", "p1"]),
        ("created_s", "age", (3.0, 1.0, 2.0), ["p2", "p3", "p1"]),
        ("name", "name", ("b", "C", "a"), ["p3", "p1", "p2"]),
    ],
)
def test_sorting_puts_the_unknown_last(field: str, sort: str, values: tuple[Any, ...], order: list[str]) -> None:
    parts = [part(number, **{field: value}) for number, value in enumerate(values, 1)]
    assert [id for id, _ in listed(*parts, sort=sort)] == order


def test_equal_rows_keep_their_places() -> None:
    parts = [part(n, cpu_percent=0.0) for n in range(9)]
    assert listed(*parts, sort="cpu") == listed(*reversed(parts), sort="cpu")


def test_every_sort_key_has_its_order() -> None:
    for sort in SORTS:
        listed(part(1), sort=sort)


def test_shares_are_summed_over_devices_and_models_found_by_name(views: dict[str, View]) -> None:
    facts = related(views["usual"])
    assert facts.sm_percent == {"p12": 58.0, "p30": 97.0}
    assert facts.model_ids["qwen3-32b"] == "p12"


def test_a_vanished_selection_falls_to_the_first(views: dict[str, View]) -> None:
    shown = rows(views["usual"], Ui())
    assert index_of(shown, "p16") == 2
    assert index_of(shown, "p999") == 0
    assert index_of(shown, None) == 0


def test_what_was_stopped_before_it_was_started_has_no_unknown_exit() -> None:
    """Fault: `exit unknown: cancelled`, as if it had run and nobody had seen its end."""
    never = part(1, state="exited", lifecycle="exited", exit=ExitPart(reason="cancelled"), reason="stopped before")
    assert ended(never) == "stopped before"
