"""Who is restarted with whom, who waits for whom, and in which order all is stopped: the pure parts."""

from __future__ import annotations

from typing import Any

from aish.supervisor.daemon import stop_order, strategy
from aish.supervisor.daemon.row import Row
from aish.wire.part import ExitPart
from aish.wire.spec import GroupPart, NeedPart, ProbePart, SpecPart


def row(name: str, place: int | None = None, how: str = "one_for_all", **fields: Any) -> Row:
    spec: dict[str, Any] = fields.pop("spec", {})
    if place is not None:
        spec["group"] = GroupPart(name="g", strategy=how, place=place)
    number = int.from_bytes(name.encode(), "big")
    values: dict[str, Any] = {"lifecycle": "running", "created_s": 0.0, **fields}
    return Row(id=f"p{number}", number=number, name=name, spec=SpecPart(argv=[b"x"], name=name, **spec), **values)


def names(rows: Any) -> list[str]:
    return [found.name for found in rows]


def test_whom_a_failure_concerns() -> None:
    members = [row("a", 0), row("c", 2)]
    assert names(strategy.affected(row("b", 1, "one_for_one"), members)) == []
    assert names(strategy.affected(row("b", 1, "rest_for_one"), members)) == ["c"]
    assert names(strategy.affected(row("b", 1, "one_for_all"), members)) == ["a", "c"]
    assert names(strategy.affected(row("b"), members)) == []


def test_a_group_of_another_project_or_parent_is_another_group() -> None:
    one, other = row("a", 0, spec={"project": "/a/aish.toml"}), row("b", 0, spec={"project": "/b/aish.toml"})
    assert strategy.key(one) != strategy.key(other)
    assert strategy.key(row("a", 0)) != strategy.key(row("a", 0, parent="p7"))
    assert strategy.key(row("a")) is None


def test_what_is_a_failure() -> None:
    def ended(code: int | None, lifecycle: str = "exited", **fields: Any) -> bool:
        return strategy.failed_for_good(row("a", 0, lifecycle=lifecycle, exit=ExitPart(code=code), **fields))

    assert ended(1)
    assert ended(None, "lost")
    assert ended(None, "failed")
    assert ended(0, stop_reason="timeout")
    assert not ended(0)
    assert not ended(143, stop_reason="cancelled")
    assert not ended(143, stop_reason="group")
    assert not ended(1, again=True)


def test_the_order_of_a_start() -> None:
    first, second = row("a", 0, lifecycle="backoff"), row("b", 1, lifecycle="queued")
    assert "a, which comes before it" in str(strategy.waits_for(second, [first]))
    assert strategy.waits_for(first, [second]) is None
    first.lifecycle = "running"
    assert strategy.waits_for(second, [first]) is None


def test_one_that_is_not_ready_is_waited_for() -> None:
    first = row("a", 0, ready="no", spec={"ready": ProbePart(notify=True)})
    assert "not ready yet" in str(strategy.waits_for(row("b", 1), [first]))


def test_nobody_starts_while_one_is_being_stopped() -> None:
    assert "being stopped" in str(strategy.waits_for(row("a", 0), [row("b", 1, group_wish="restart")]))
    stopping = row("b", 1, lifecycle="stopping", group_restart=True)
    assert "being stopped" in str(strategy.waits_for(row("a", 0), [stopping]))


def test_an_order_that_contradicts_the_needs_does_not_wait_for_ever() -> None:
    """A needs B, and stands before it: B may not wait for A."""
    first = row("a", 0, lifecycle="queued", spec={"needs": [NeedPart(name="b")]})
    assert strategy.waits_for(row("b", 1), [first]) is None


# --- stop order -----------------------------------------------------------------------------------------------------


def levels(*rows: Row) -> list[list[str]]:
    return [sorted(names(level)) for level in stop_order.levels(rows)]


def test_who_needs_another_is_stopped_before_it() -> None:
    database = row("db")
    web = row("web", spec={"needs": [NeedPart(name="db")]})
    proxy = row("proxy", spec={"needs": [NeedPart(name="web"), NeedPart(name="elsewhere")]})
    assert levels(database, web, proxy) == [["proxy"], ["web"], ["db"]]


def test_later_places_are_stopped_first() -> None:
    assert levels(row("a", 0), row("b", 1), row("c", 1), row("other")) == [["b", "c", "other"], ["a"]]


def test_models_go_after_who_may_use_them_unless_something_needs_that_otherwise() -> None:
    model = row("m", spec={"kind": "model"})
    assert levels(model, row("agent", spec={"kind": "agent"})) == [["agent"], ["m"]]
    needy = row("m", spec={"kind": "model", "needs": [NeedPart(name="store")]})
    assert levels(needy, row("store"), row("agent")) == [["agent"], ["m"], ["store"]]


def test_a_circle_is_cut() -> None:
    a = row("a", spec={"needs": [NeedPart(name="b")]})
    b = row("b", spec={"needs": [NeedPart(name="a")]})
    assert levels(a, b) == [["a", "b"]]


def test_nothing_is_an_empty_order() -> None:
    assert levels() == []
