"""How many ended processes stay, and which of them go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aish.supervisor.daemon import forgetting
from aish.supervisor.daemon.forgetting import Forgetting
from aish.supervisor.daemon.process import Process
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.table import Table
from aish.wire.spec import SpecPart


def process(number: int, ended_s: float | None, parent: str | None = None) -> Process:
    lifecycle = "running" if ended_s is None else "exited"
    spec = SpecPart(argv=[b"x"])
    row = Row(id=f"p{number}", number=number, name=f"n{number}", spec=spec, created_s=0.0, lifecycle=lifecycle)
    row.ended_s, row.parent = ended_s, parent
    return Process(row)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> tuple[Table, Forgetting, list[str]]:
    """A table of which ten ended ones stay, and who is forgotten."""
    monkeypatch.setattr(forgetting, "KEEP_ENDED", 10)
    table, gone = Table(), list[str]()
    daemon: Any = SimpleNamespace(table=table)
    made = Forgetting(daemon)
    monkeypatch.setattr(made, "forget", lambda processes: gone.extend(each.id for each in processes))
    return table, made, gone


def test_the_oldest_ends_are_forgotten_a_tenth_at_a_time(kept: Any) -> None:
    """Fault: a table that grows for ever, or one that is gone through at each further end."""
    table, made, gone = kept
    for number in range(1, 12):
        table.add(process(number, ended_s=100.0 - number))
    table.add(process(12, ended_s=None))
    made.prune()
    assert gone == ["p11", "p10"]


def test_as_many_as_are_kept_stay(kept: Any) -> None:
    table, made, gone = kept
    for number in range(1, 11):
        table.add(process(number, ended_s=float(number)))
    table.add(process(11, ended_s=None))
    made.prune()
    assert gone == []


def test_whose_children_live_is_not_forgotten(kept: Any) -> None:
    table, made, gone = kept
    for number in range(1, 12):
        table.add(process(number, ended_s=float(number)))
    table.add(process(12, ended_s=None, parent="p1"))
    made.prune()
    assert gone == ["p2"]
