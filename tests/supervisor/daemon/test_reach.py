"""What is known of control groups over the life of a process: which limits nothing holds, who was ended at one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.supervisor.daemon.cgroup import Layout
from aish.supervisor.daemon.process import Process
from aish.supervisor.daemon.reach import Reach
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.table import Table
from aish.wire.spec import LimitPart, SpecPart

if TYPE_CHECKING:
    from pathlib import Path


def reach(*layouts: Layout) -> Reach:
    """`layouts` are found one after the other."""
    left = list(layouts)
    return Reach(lambda: left.pop(0), Table(1), secret=b"s", epoch=1, reapers=frozenset, own=1)


def process(id_: str, limits: LimitPart | None) -> Process:
    number = int(id_[1:])
    spec = SpecPart(argv=[b"x"], limits=limits)
    return Process(Row(id=id_, number=number, name=id_, spec=spec, lifecycle="running", created_s=0.0))


def test_a_limit_that_nothing_holds_any_more_is_told_at_the_next_start(tmp_path: Path) -> None:
    """Fault: it was looked for where groups had been before somebody took the folder away, and nobody was told."""
    made = reach(
        Layout(v1={"cpu": str(tmp_path / "gone"), "freezer": str(tmp_path / "gone")}), Layout(why_not="none")
    )
    told: list[tuple[str, list[str]]] = []
    made.unheld_now = lambda process, unheld: told.append((process.id, unheld))
    first, second = process("p1", LimitPart(cpus=1.0)), process("p2", LimitPart(cpus=1.0))
    first.unheld = second.unheld = []
    assert made.unheld(first.row.spec.limits) == []
    made.open(first)
    made.open(second)  # which waited meanwhile
    made.open(first)
    assert told == [("p1", ["cpus"]), ("p2", ["cpus"])]


def test_who_was_ended_at_a_limit_is_counted_when_it_happens_and_once(tmp_path: Path) -> None:
    """Fault: all of a run were counted at its end, and hid who the machine's want of memory hit just then."""
    made = reach(Layout(v1={"memory": str(tmp_path), "freezer": str(tmp_path)}))

    def kills(id_: str, count: int) -> None:
        (tmp_path / id_).mkdir(exist_ok=True)
        (tmp_path / id_ / "memory.limit_in_bytes").touch()
        (tmp_path / id_ / "memory.oom_control").write_text(f"oom_kill_disable 0\nunder_oom 0\noom_kill {count}\n")

    limited, free = process("p1", LimitPart(memory_bytes=1 << 20)), process("p2", None)
    made._table.add(limited)
    made._table.add(free)
    kills("p1", 5)
    kills("p2", 7)
    assert made.killed_at_limits() == 0, "these were before this daemon"
    kills("p1", 45)
    assert made.killed_at_limits() == 40, "while it lives"
    assert made.killed_at_limits() == 40
    kills("p1", 46)
    limited.row.lifecycle = "exited"
    made._table.ended(limited)
    assert made.out_of_memory(limited)
    assert made.killed_at_limits() == 41, "at once, though its group is given back later"
    kills("p1", 48)
    made.forget(limited.row)
    assert made.killed_at_limits() == 43, "what has ended was counted to its end, and stays in the sum"
    made.limit(free.row, LimitPart())
    kills("p2", 7)
    free.row.spec = limited.row.spec
    assert made.killed_at_limits() == 43, "it was at no limit of ours when it was hit"
    kills("p2", 8)
    assert made.killed_at_limits() == 44
