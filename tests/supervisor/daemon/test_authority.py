"""Who may do what to whom: the whole table, and the errors that people see."""

from __future__ import annotations

from typing import get_args

import pytest

from aish.errors import RefusedError
from aish.supervisor.daemon import authority
from aish.supervisor.daemon.authority import NOBODY, RELATIONS, USER, Caller
from aish.supervisor.daemon.process import Process
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.table import Table
from aish.wire.message import Request
from aish.wire.spec import SpecPart

# Rows: requests. Columns: user, self, below, other, nobody.
EXPECTED = """
Hello         y y y y y
Spawn         y y y . .
Serve         y y y . .
Adopt         y . . . .
Snapshot      y y y . .
Inspect       y y y . .
History       y y y . .
Why           y y y . .
Wait          y y y . .
WaitMany      y y y . .
Signal        y y y . .
Stop          y y y . .
Pause         y y y . .
Cont          y . y . .
Limit         y . . . .
Label         y y y . .
Forget        y . y . .
Logs          y y y . .
Attach        y . y . .
Events        y y y . .
Gpus          y y y . .
KeyNew        y . . . .
KeyList       y . . . .
KeyRevoke     y . . . .
UsageQuery    y . . . .
WindowList    y . . . .
WindowSet     y . . . .
WindowUnset   y . . . .
Mark          y . y . .
SlotUse       . y . . .
SlotKeep      . y . . .
Doctor        y . . . .
Shutdown      y . . . .
GatewayHello  . . . . .
"""


def cases() -> list[tuple[str, str, bool]]:
    rows = [line.split() for line in EXPECTED.split("\n") if line]
    return [(op, related, cell == "y") for op, *cells in rows for related, cell in zip(RELATIONS, cells, strict=True)]


@pytest.mark.parametrize(("op", "related", "allowed"), cases())
def test_table(op: str, related: authority.Relation, allowed: bool) -> None:
    assert authority.decide(op, related) is allowed


def test_every_request_has_a_row() -> None:
    """A new request without a row would be nobody's: refused, but nobody decided so."""
    assert {kind.__name__ for kind in get_args(Request)} == set(authority.ALLOWED)


def test_an_unknown_operation_is_refused() -> None:
    assert not authority.decide("Format", "user")


def table() -> Table:
    """p1 ── p2 ── p3, and p4 beside them."""
    made = Table()
    for number, parent in ((1, None), (2, "p1"), (3, "p2"), (4, None)):
        row = Row(
            id=f"p{number}",
            number=number,
            name=f"n{number}",
            spec=SpecPart(argv=[b"x"]),
            parent=parent,
            lifecycle="running",
            created_s=0.0,
        )
        made.add(Process(row))
    return made


@pytest.mark.parametrize(
    ("caller", "target", "related"),
    [
        (USER, "p3", "user"),
        (NOBODY, "p3", "nobody"),
        (Caller("process", "p2"), "p2", "self"),
        (Caller("process", "p2"), "p3", "below"),
        (Caller("process", "p1"), "p3", "below"),
        (Caller("process", "p2"), "p1", "other"),
        (Caller("process", "p2"), "p4", "other"),
        (Caller("process", "p2"), None, "self"),
        (Caller("user", "p2"), "p1", "user"),  # rights = "owner"
        (Caller("process", None), "p1", "other"),
    ],
)
def test_relation(caller: Caller, target: str | None, related: str) -> None:
    made = table()
    assert authority.relation(made, caller, made.get(target) if target else None) == related


def test_a_child_whose_parent_was_forgotten_stays_below_its_grandparent() -> None:
    """Else forgetting an ended agent would hand its children to nobody or everybody."""
    made = table()
    middle = made.get("p2")
    assert middle is not None
    middle.row.lifecycle = "exited"
    made.remove(middle)
    target = made.get("p3")
    assert authority.relation(made, Caller("process", "p2"), target) == "below"
    assert authority.relation(made, Caller("process", "p4"), target) == "other"


def test_refusals_say_who_and_what_next() -> None:
    made = table()
    with pytest.raises(RefusedError, match=r"limit n4 \(p4\) refused: p2 may act only on what it started") as error:
        authority.check(made, Caller("process", "p2"), "Limit", made.get("p4"))
    assert error.value.hint
    with pytest.raises(
        RefusedError, match=r"limit n3 \(p3\) refused: only the user may do that, no process for what"
    ):
        authority.check(made, Caller("process", "p2"), "Limit", made.get("p3"))
    with pytest.raises(RefusedError, match="may not do that for itself"):
        authority.check(made, Caller("process", "p2"), "Limit", made.get("p2"))
    with pytest.raises(RefusedError, match="not known, so it has no rights"):
        authority.check(made, NOBODY, "Stop", made.get("p2"))


def test_what_a_caller_sees() -> None:
    made = table()
    assert authority.visible(made, USER) is None
    assert authority.visible(made, Caller("process", "p2")) == {"p2", "p3"}
    assert authority.visible(made, NOBODY) == set()
